/** `lab status`: what runs of a lab, as data. */
import { existsSync, readdirSync } from 'node:fs';
import { connect } from '../../kube/client.ts';
import { NODES, type Node } from '../../kube/types.ts';
import { labNodes, labPaths, labsFolder } from './layout.ts';
import { adminIdentity } from './pki.ts';
import { findLab } from './processes.ts';
import { readRecord } from './record.ts';

export interface LabStatus {
  apiVersion: 'lab.pellicle.dev/v1';
  kind: 'LabStatus';
  name: string;
  /** `Degraded`: something of it has ended; `lab up` repairs. `Stopped`: its state is there, no process is. */
  state: 'Running' | 'Degraded' | 'Stopped';
  context: string;
  kubeconfig?: string;
  server: string;
  apiServer: 'Ready' | 'Unreachable';
  /** Host pid of the process that holds the underlay: `nsenter -t PID -n tcpdump -i br0` listens there. */
  network: { pid: number | null; bridge: string; slirp4netnsPid: number | null };
  nodes: NodeStatus[];
}

export interface NodeStatus {
  name: string;
  role: string;
  addresses: string[];
  /** As the API server has it. */
  status: 'Ready' | 'NotReady' | 'Unknown' | 'Unregistered';
  /** Host pid of the node's init. */
  pid: number | null;
  /** The other end of its eth0, on the bridge. */
  link: string;
}

/** Undefined when there is no lab of that name. */
export async function labStatus(name: string): Promise<LabStatus | undefined> {
  const paths = labPaths(name);
  const found = findLab(paths.state, paths.slirpSocket);
  const record = readRecord(paths);
  if (!record) {
    if (found.holder === undefined && !existsSync(paths.state)) return undefined;
    throw new Error(
      `the record of lab '${name}' is lost (${paths.record}): remove it with 'pellicle lab down --name ${name}'`,
    );
  }
  const server = `https://127.0.0.1:${record.port}`;
  const registered =
    found.holder === undefined || found.slirp === undefined ? undefined : await listNodes(server, paths.pki);
  const nodes = labNodes(record.options).map(node => ({
    name: node.name,
    role: node.role,
    addresses: node.addresses,
    status: readiness(registered, node.name),
    pid: found.nodes.get(node.name) ?? null,
    link: node.link,
  }));
  const whole = registered !== undefined && nodes.every(node => node.pid !== null);
  return {
    apiVersion: 'lab.pellicle.dev/v1',
    kind: 'LabStatus',
    name,
    state: found.holder === undefined ? 'Stopped' : whole ? 'Running' : 'Degraded',
    context: `kind-${name}`,
    ...(record.kubeconfig && { kubeconfig: record.kubeconfig.path }),
    server,
    apiServer: registered ? 'Ready' : 'Unreachable',
    network: { pid: found.holder ?? null, bridge: 'br0', slirp4netnsPid: found.slirp ?? null },
    nodes,
  };
}

/** Names of the labs that this machine has state of. */
export function labNames(folder = labsFolder()): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter(entry => entry.isDirectory())
      .map(entry => entry.name)
      .sort();
  } catch {
    return [];
  }
}

async function listNodes(server: string, pki: string): Promise<Node[] | undefined> {
  try {
    const client = connect({ server, ...(await adminIdentity(pki)) }, { timeout: 3_000 });
    return (await client.list(NODES)).items;
  } catch {
    return undefined;
  }
}

function readiness(nodes: Node[] | undefined, name: string): NodeStatus['status'] {
  if (!nodes) return 'Unknown';
  const node = nodes.find(each => each.metadata.name === name);
  if (!node) return 'Unregistered';
  const ready = node.status?.conditions?.find(condition => condition.type === 'Ready')?.status;
  return ready === 'True' ? 'Ready' : ready === 'False' ? 'NotReady' : 'Unknown';
}

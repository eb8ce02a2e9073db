/** What a lab is made of: its nodes, their addresses, its places on disk. Pure. */
import { join } from 'node:path';

export type IpFamily = 'ipv4' | 'dual';

export interface LabOptions {
  name: string;
  /** Worker nodes beside the control plane. */
  workers: number;
  ipFamily: IpFamily;
}

export interface LabNode {
  name: string;
  role: 'control-plane' | 'worker';
  /** 0 for the control plane, 1 for the first worker. */
  index: number;
  /** Addresses on the underlay, IPv4 first. */
  addresses: string[];
  /** The other end of its eth0, in the lab's own network. */
  link: string;
  /** Of its eth0; a machine keeps it over a reboot, and its neighbours rely on that. */
  mac: string;
}

export interface LabPaths {
  /** /var/lib/pellicle/lab/NAME */
  state: string;
  pki: string;
  database: string;
  images: string;
  /** lab.json */
  record: string;
  logs: string;
  nodes: string;
  /** A folder for each node's disk, seen in the holder's mount namespace alone. */
  disks: string;
  slirpSocket: string;
}

export const apiPort = 6443;
export const kubeletPort = 10250;
export const network = {
  bridge: 'br0',
  mtu: 1500,
  gateway: '172.18.0.1',
  prefix: 16,
  gateway6: 'fd00:172:18::1',
  prefix6: 64,
  /** Where slirp4netns answers DNS, and its own addresses. */
  dns: '10.0.2.3',
  tap: 'tap0',
  tapAddress: '10.0.2.100',
};
export const cluster = {
  podCidr: '10.244.0.0/16',
  podCidr6: 'fd00:10:244::/56',
  serviceCidr: '10.96.0.0/16',
  serviceCidr6: 'fd00:10:96::/112',
  kubernetesService: '10.96.0.1',
  dnsService: '10.96.0.10',
  domain: 'cluster.local',
  version: 'v1.32.13',
};

const maxWorkers = 20;

/** The options with defaults filled in, or the sentence that says what is wrong with them. */
export function checkOptions(options: Partial<LabOptions>): LabOptions | { problem: string } {
  const { name = 'kind', workers = 2, ipFamily = 'ipv4' } = options;
  if (!/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(name)) {
    return {
      problem: `'${name}' is no lab name: use 1 to 32 lower-case letters, digits and dashes, as in 'kind'`,
    };
  }
  if (!Number.isInteger(workers) || workers < 0 || workers > maxWorkers) {
    return { problem: `--workers takes a number from 0 to ${maxWorkers}` };
  }
  if (ipFamily !== 'ipv4' && ipFamily !== 'dual') {
    return { problem: `--ip-family takes ipv4 or dual, not '${ipFamily}'` };
  }
  return { name, workers, ipFamily };
}

export function labNodes({ name, workers, ipFamily }: LabOptions): LabNode[] {
  return Array.from({ length: workers + 1 }, (_, index) => ({
    name: index === 0 ? `${name}-control-plane` : index === 1 ? `${name}-worker` : `${name}-worker${index}`,
    role: index === 0 ? 'control-plane' : 'worker',
    index,
    addresses: [
      `172.18.0.${index + 2}`,
      ...(ipFamily === 'dual' ? [`fd00:172:18::${(index + 2).toString(16)}`] : []),
    ],
    link: `veth${index}`,
    mac: `02:42:ac:12:00:${(index + 2).toString(16).padStart(2, '0')}`,
  }));
}

export function labPaths(name: string, base = labsFolder()): LabPaths {
  const state = join(base, name);
  return {
    state,
    pki: join(state, 'pki'),
    database: join(state, 'api.db'),
    images: join(state, 'images'),
    record: join(state, 'lab.json'),
    logs: join(state, 'logs'),
    nodes: join(state, 'nodes'),
    disks: join(state, 'disks'),
    slirpSocket: join(state, 'slirp.sock'),
  };
}

export function labsFolder(): string {
  return '/var/lib/pellicle/lab';
}

/** What every command that talks to a cluster starts from: the global flags, and the connection they lead to. */
import type { KubeClient } from '../kube/client.ts';
import type { Connection } from '../kube/kubeconfig.ts';
import { usage } from './failure.ts';
import type { Terminal } from './terminal.ts';

export interface GlobalFlags {
  kubeconfig?: string;
  context?: string;
  namespace: string;
  as?: string;
  asGroup?: string[];
}

export interface CommandContext {
  terminal: Terminal;
  flags: GlobalFlags;
  /** Connects on the first call. */
  cluster(): Promise<Cluster>;
}

export interface Cluster {
  client: KubeClient;
  connection: Connection;
}

// Every connection costs a handshake, and forwarders such as the lab's take few at once.
const CONNECT = { timeout: 8_000, maxConnections: 2 };

export function commandContext(terminal: Terminal, flags: GlobalFlags): CommandContext {
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(flags.namespace))
    throw usage(`"${flags.namespace}" is no name of a namespace: write for instance -n kube-system`);
  let cluster: Promise<Cluster> | undefined;
  return {
    terminal,
    flags,
    cluster: () => {
      cluster ??= reach(flags);
      return cluster;
    },
  };
}

async function reach(flags: GlobalFlags): Promise<Cluster> {
  const [{ loadConnection }, { connect }] = await Promise.all([
    import('../kube/kubeconfig.ts'),
    import('../kube/client.ts'),
  ]);
  const { kubeconfig, context, as, asGroup } = flags;
  const connection = await loadConnection({ kubeconfig, context, as, asGroups: asGroup });
  return { client: connect(connection.credentials, CONNECT), connection };
}

/** `5m`, `90s` as milliseconds; `flag` is who asks. */
export function parseWait(text: string, flag = '--wait-duration'): number {
  const match = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?$/.exec(text);
  const [, hours = '0', minutes = '0', seconds = '0'] = match ?? [];
  if (!match || text === '') throw usage(`${flag} "${text}" is no duration: write for instance 90s or 5m`);
  return (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
}

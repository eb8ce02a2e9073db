/**
 * What a pair of programs is measured on: two network namespaces joined by a veth pair, a tunnel between them.
 *
 *     pb-…l  192.0.2.1  ───veth, MTU 1500───  192.0.2.2  pb-…r
 *            10.9.0.1   ───────tunnel───────  10.9.0.2
 *
 * The names carry the process id of the run.
 */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { exited, until } from '../engine/pair.ts';
import { runIn, startIn } from './command.ts';

const PREFIX = 'pb-';
const RUN = process.pid.toString(36);
const NETNS_FOLDER = '/run/netns';
const SOCKET_FOLDERS = ['/var/run/wireguard', '/var/run/pellicle'];

/** What the measurements in traffic.ts need to know of a tunnel. */
export interface Tunnelled {
  /** Of the program, as it stands in the tables. */
  readonly name: string;
  readonly left: { readonly netns: string };
  /** With the device that the tunnel's packets come out of. */
  readonly right: { readonly netns: string; readonly device: string };
  /** A fresh iperf3 server on the right. */
  serve(): Promise<void>;
  /** Processor time of the programs at both ends, so far. */
  cpuSeconds(): number;
}

/** One end of bed `number`, or a place alone. */
export function nameOf(number: number, end: 'l' | 'r' | 'a'): { netns: string; device: string } {
  return { netns: `${PREFIX}${RUN}-${number}${end}`, device: `pb${RUN}${number}${end}` };
}

export function makeNamespaces(...names: readonly string[]): void {
  for (const netns of names) {
    ip('netns', 'add', netns);
    ip('-n', netns, 'link', 'set', 'lo', 'up');
  }
}

export function joinByVeth(left: string, right: string): void {
  ip('-n', left, 'link', 'add', 'veth', 'type', 'veth', 'peer', 'name', 'veth', 'netns', right);
  for (const [netns, address] of [
    [left, '192.0.2.1/24'],
    [right, '192.0.2.2/24'],
  ] as const) {
    ip('-n', netns, 'address', 'add', address, 'dev', 'veth');
    ip('-n', netns, 'link', 'set', 'veth', 'up');
  }
}

/** A vxlan device over the veth pair, as the lab has it: 198.51.100.1 and 198.51.100.2, MTU 1450. */
export function joinByVxlan(left: string, right: string): void {
  for (const [netns, own, other] of [
    [left, 1, 2],
    [right, 2, 1],
  ] as const) {
    const remote = ['remote', `192.0.2.${other}`, 'local', `192.0.2.${own}`, 'dev', 'veth'];
    ip('-n', netns, 'link', 'add', 'vxlan', 'type', 'vxlan', 'id', '2', 'dstport', '8472', ...remote);
    ip('-n', netns, 'address', 'add', `198.51.100.${own}/24`, 'dev', 'vxlan');
    ip('-n', netns, 'link', 'set', 'vxlan', 'up');
  }
}

export class IperfServer {
  readonly #netns: string;
  #process: ChildProcess | undefined;

  constructor(netns: string) {
    this.#netns = netns;
  }

  /** In the place of the one before. */
  async start(): Promise<void> {
    if (this.#process) {
      this.#process.kill('SIGKILL');
      await exited(this.#process);
    }
    this.#process = startIn(this.#netns, 'iperf3', ['-s']);
    await until('iperf3 listens', async () => /:5201\b/.test(await runIn(this.#netns, 'ss', ['-Hltn'])));
  }
}

/** Resolves when a ping of the tunnel's right end comes back. */
export async function untilPackets(what: string, netns: string): Promise<void> {
  const ping = () => runIn(netns, 'ping', ['-n', '-c', '1', '-W', '1', '10.9.0.2']);
  await until(
    `${what} passes packets`,
    () =>
      ping().then(
        () => true,
        () => false,
      ),
    20,
  );
}

/** Removes this run's namespaces and sockets, and those of runs that were killed. */
export function removeNamespaces(): void {
  const netns = existsSync(NETNS_FOLDER) ? readdirSync(NETNS_FOLDER) : [];
  for (const name of netns) {
    const [, run] = /^pb-([0-9a-z]+)-\d+[lra]$/.exec(name) ?? [];
    if (!run || (run !== RUN && existsSync(`/proc/${Number.parseInt(run, 36)}`))) continue;
    const pids = execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' });
    for (const pid of pids.split('\n').filter(Boolean)) kill(Number(pid));
    ip('netns', 'del', name);
    const device = `pb${name.slice(PREFIX.length).replace('-', '')}`;
    for (const folder of SOCKET_FOLDERS) {
      for (const kind of ['sock', 'handover']) rmSync(`${folder}/${device}.${kind}`, { force: true });
    }
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It went by itself.
  }
}

export function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

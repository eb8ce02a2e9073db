/**
 * The bench of the interop tests: two network namespaces joined by a cable. In one is our protocol core with a real UDP
 * socket, in the other Debian's wireguard-go.
 *
 *   pi-core-<pid>                                    pi-go-<pid>
 *   core  192.0.2.1, 2001:db8::1  <---- veth ---->   192.0.2.2, 2001:db8::2  wireguard-go
 *   10.9.0.1, fd00:9::1           (tunnel)           10.9.0.2, fd00:9::2
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { errnoOf, printRequest, type SetDevice } from '../../src/proto/wireguard/uapi.ts';
import { type DeviceStatus, parseStatus } from '../../src/proto/wireguard/uapistatus.ts';

const execute = promisify(execFile);

export const ADDRESSES = {
  core: { 4: '192.0.2.1', 6: '2001:db8::1' },
  go: { 4: '192.0.2.2', 6: '2001:db8::2' },
  tunnelCore: { 4: '10.9.0.1', 6: 'fd00:9::1' },
  tunnelGo: { 4: '10.9.0.2', 6: 'fd00:9::2' },
} as const;
export const GO_PORT = 51820;

export class Bench {
  readonly coreNamespace = `pi-core-${process.pid}`;
  readonly goNamespace = `pi-go-${process.pid}`;
  readonly device = `pi${process.pid}`;
  #wireguardGo: ChildProcess | undefined;

  async open(): Promise<void> {
    for (const namespace of [this.coreNamespace, this.goNamespace]) run('ip', 'netns', 'add', namespace);
    const [here, there] = [this.coreNamespace, this.goNamespace];
    run('ip', '-n', here, 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable', 'netns', there);
    for (const [namespace, addresses] of [
      [here, ADDRESSES.core],
      [there, ADDRESSES.go],
    ] as const) {
      run('ip', '-n', namespace, 'address', 'add', `${addresses[4]}/24`, 'dev', 'cable');
      run('ip', '-n', namespace, 'address', 'add', `${addresses[6]}/64`, 'dev', 'cable', 'nodad');
      run('ip', '-n', namespace, 'link', 'set', 'cable', 'up');
      run('ip', '-n', namespace, 'link', 'set', 'lo', 'up');
    }
    this.#wireguardGo = spawn('ip', ['netns', 'exec', there, 'wireguard-go', '-f', this.device], {
      stdio: 'ignore',
    });
    await until('wireguard-go has its socket', () => existsSync(`/var/run/wireguard/${this.device}.sock`));
    for (const address of [`${ADDRESSES.tunnelGo[4]}/24`, `${ADDRESSES.tunnelGo[6]}/64`]) {
      this.inGo(
        'ip',
        'address',
        'add',
        address,
        'dev',
        this.device,
        ...(address.includes(':') ? ['nodad'] : []),
      );
    }
    await this.inGo('ip', 'link', 'set', this.device, 'up', 'mtu', '1420');
  }

  async close(): Promise<void> {
    const gone = new Promise(resolve => this.#wireguardGo?.once('exit', resolve));
    if (this.#wireguardGo?.kill()) await gone;
    for (const namespace of [this.coreNamespace, this.goNamespace]) {
      if (existsSync(`/run/netns/${namespace}`)) run('ip', 'netns', 'delete', namespace);
    }
  }

  /** Runs a command on wireguard-go's side, while our side goes on. */
  async inGo(command: string, ...args: string[]): Promise<string> {
    const { stdout } = await execute('ip', ['netns', 'exec', this.goNamespace, command, ...args]);
    return stdout;
  }

  /** Configures wireguard-go over its own socket; fails with its errno. */
  async configureGo(device: Partial<SetDevice>): Promise<void> {
    const answer = await this.#ask(printRequest({ set: { replacePeers: false, peers: [], ...device } }));
    if (errnoOf(answer) !== 0) throw new Error(`wireguard-go answered ${answer.trim()}`);
  }

  async statusOfGo(): Promise<DeviceStatus> {
    return parseStatus(await this.#ask(printRequest({ get: true })));
  }

  async #ask(request: string): Promise<string> {
    const socket = createConnection(`/var/run/wireguard/${this.device}.sock`);
    socket.write(request);
    let answer = '';
    for await (const chunk of socket.setEncoding('utf8')) {
      answer += chunk;
      if (answer.endsWith('\n\n')) break;
    }
    socket.destroy();
    return answer;
  }

  /** A process with a UDP socket on our side. */
  startRelay(): ChildProcess {
    const script = join(import.meta.dirname, 'relay.ts');
    const args = ['netns', 'exec', this.coreNamespace, process.execPath, script];
    return spawn('ip', args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  }
}

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Polls, and throws after the deadline. */
export async function until(what: string, isSo: () => boolean, milliseconds = 10_000): Promise<void> {
  const deadline = Date.now() + milliseconds;
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error(`after ${milliseconds} ms still not: ${what}`);
    await sleep(20);
  }
}

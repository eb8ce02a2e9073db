/** The engine's ESP between two namespaces (see ground.ts), AES-128-GCM, keyed by hand. */
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { until } from '../engine/pair.ts';
import { cpuSeconds, startIn } from './command.ts';
import {
  IperfServer,
  ip,
  joinByVeth,
  joinByVxlan,
  makeNamespaces,
  nameOf,
  type Tunnelled,
  untilPackets,
} from './ground.ts';
import type { Program } from './programs.ts';

/** UDP-encapsulated over the veth pair (RFC 3948), or inside vxlan as the lab has it. */
export type Carriage = 'udp' | 'vxlan';

/** Of the device, the same for every program of a topology, so that nothing is fragmented. */
export const ESP_MTU: Record<Carriage, number> = { udp: 1400, vxlan: 1373 };

/** The outer addresses of both ends. */
export function outerAddresses(carriage: Carriage): [left: string, right: string] {
  return carriage === 'udp' ? ['192.0.2.1', '192.0.2.2'] : ['198.51.100.1', '198.51.100.2'];
}

/** Namespaces, veth pair and, where wanted, the vxlan devices. */
export function lay(carriage: Carriage, left: string, right: string): void {
  makeNamespaces(left, right);
  joinByVeth(left, right);
  if (carriage === 'vxlan') joinByVxlan(left, right);
}

export class EspBed implements Tunnelled {
  readonly name: string;
  readonly left: { netns: string; device: string };
  readonly right: { netns: string; device: string };
  readonly #program: Program;
  readonly #carriage: Carriage;
  readonly #server: IperfServer;
  readonly #engines: ChildProcess[] = [];

  constructor(program: Program, number: number, carriage: Carriage) {
    this.name = program.name;
    this.#program = program;
    this.#carriage = carriage;
    this.left = nameOf(number, 'l');
    this.right = nameOf(number, 'r');
    this.#server = new IperfServer(this.right.netns);
  }

  async open(): Promise<void> {
    lay(this.#carriage, this.left.netns, this.right.netns);
    const keys = [randomBytes(20), randomBytes(20)].map(key => `0x${key.toString('hex')}`) as [
      string,
      string,
    ];
    const addresses = outerAddresses(this.#carriage);
    for (const [end, own] of [
      [this.left, 0],
      [this.right, 1],
    ] as const) {
      const { netns, device } = end;
      const [file = '', ...args] = this.#program.command;
      const engine = startIn(netns, file, [...args, '-f', '--ipsec', device]);
      this.#engines.push(engine);
      const socket = `/var/run/pellicle/${device}.sock`;
      await until(`${this.name} serves ${device}`, () => {
        if (engine.exitCode !== null) throw new Error(`${this.name} ended at its start`);
        return control(socket, 'list').then(
          () => true,
          () => false,
        );
      });
      const answer = await control(socket, this.#words(own, addresses, keys));
      if (answer.includes('error')) throw new Error(`${this.name} refused: ${answer}`);
      ip('-n', netns, 'address', 'add', `10.9.0.${own + 1}/24`, 'dev', device);
      ip('-n', netns, 'link', 'set', device, 'mtu', String(ESP_MTU[this.#carriage]), 'up');
    }
    await untilPackets(this.name, this.left.netns);
    await this.serve();
  }

  serve(): Promise<void> {
    return this.#server.start();
  }

  cpuSeconds(): number {
    return this.#engines.reduce((sum, { pid }) => sum + cpuSeconds(pid!), 0);
  }

  /** For the end 0 or 1. */
  #words(own: 0 | 1, addresses: readonly [string, string], keys: readonly [string, string]): string {
    const other = own === 0 ? 1 : 0;
    const [here, there] = [addresses[own], addresses[other]];
    const encap = this.#carriage === 'udp' ? 'encap espinudp 4500 4500 0.0.0.0' : '';
    const state = (from: 0 | 1, direction: string) =>
      `state add src ${addresses[from]} dst ${addresses[1 - from]} proto esp spi 0x${101 + from} reqid 1 mode tunnel ` +
      `dir ${direction} aead rfc4106(gcm(aes)) ${keys[from]} 128 replay-window 4096 flag esn ${encap}`;
    return [
      state(own, 'out'),
      `${state(other, 'in')} sel 10.9.0.${other + 1}/32`,
      `policy set dst 10.9.0.${other + 1}/32 src ${here} spi 0x${101 + own} to ${there}`,
      `local 10.9.0.${own + 1}/32`,
    ].join('\n');
  }
}

async function control(path: string, request: string): Promise<string> {
  const socket = connect(path);
  try {
    socket.setTimeout(5000, () => socket.destroy(new Error(`${path} does not answer`)));
    socket.write(`${request}\n\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    return answer.toString();
  } finally {
    socket.destroy();
  }
}

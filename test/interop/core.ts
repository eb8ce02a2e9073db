/** Our protocol core with its reference packet loop, on a real clock and a real UDP socket. It answers pings. */
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { readHeader } from '../../src/proto/ip/header.ts';
import { Device } from '../../src/proto/wireguard/device.ts';
import { PacketLoop } from '../../src/proto/wireguard/packetloop.ts';
import type { Bench } from './bench.ts';
import { isEchoRequest, replyTo } from './ping.ts';
import type { FromRelay, ToRelay } from './relay.ts';

export class Core {
  readonly loop: PacketLoop;
  readonly device: Device;
  /** Packets that came out of the tunnel. */
  readonly delivered: Uint8Array[] = [];
  /** Types of the messages that came in, in order. */
  readonly heard: number[] = [];
  readonly #relay: ChildProcess;
  #timer: NodeJS.Timeout | undefined;

  /** The bench is where the relay, and with it the socket, is. */
  constructor(bench: Pick<Bench, 'startRelay'>) {
    this.loop = new PacketLoop(
      activity =>
        new Device({
          random: bytes => randomBytes(bytes),
          now: this.now,
          wallClock: () => ({ seconds: Math.floor(Date.now() / 1000), nanos: (Date.now() % 1000) * 1e6 }),
          activity,
        }),
    );
    this.device = this.loop.device;
    this.device.setPrivateKey(randomBytes(32), this.now);
    this.#relay = bench.startRelay();
    this.#relay.on('message', (message: FromRelay) => {
      if (message.type !== 'datagram') return;
      const bytes = new Uint8Array(Buffer.from(message.bytes, 'base64'));
      this.heard.push(bytes[0] ?? 0);
      this.loop.receive(bytes, { address: message.address, port: message.port }, this.now);
      this.settle();
    });
  }

  get now(): number {
    return performance.now();
  }

  async bind(family: 4 | 6, port: number): Promise<void> {
    const bound = once(this.#relay, 'message');
    this.#tell({ type: 'bind', family, port });
    await bound;
  }

  send(packet: Uint8Array): void {
    this.loop.send(packet, this.now);
    this.settle();
  }

  /** A datagram past the protocol. */
  sendRaw(bytes: Uint8Array, address: string, port: number, times: number): void {
    this.#tell({ type: 'send', bytes: Buffer.from(bytes).toString('base64'), address, port, times });
  }

  /** After every change to the device. */
  settle(): void {
    this.loop.settle(this.now);
    for (let next = this.loop.pollDelivery(); next; next = this.loop.pollDelivery())
      this.#deliver(next.packet);
    for (let next = this.loop.pollTransmit(); next; next = this.loop.pollTransmit()) {
      this.sendRaw(next.bytes, next.to.address, next.to.port, 1);
    }
    clearTimeout(this.#timer);
    const timeout = this.loop.nextTimeout();
    if (timeout) this.#timer = setTimeout(() => this.#fire(), Math.max(1, timeout.at - this.now));
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    const gone = once(this.#relay, 'exit');
    this.#relay.disconnect();
    await gone;
  }

  #fire(): void {
    this.loop.handleTimeout(this.now);
    this.settle();
  }

  #deliver(packet: Uint8Array): void {
    this.delivered.push(packet);
    if (readHeader(packet) && isEchoRequest(packet)) this.loop.send(replyTo(packet), this.now);
  }

  #tell(message: ToRelay): void {
    this.#relay.send(message);
  }
}

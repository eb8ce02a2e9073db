/** For tests: packet loops on a simulated network with a clock of its own. Nothing here runs in a product. */
import { createHash } from 'node:crypto';
import { concatBytes, toHex } from '../bytes.ts';
import { parseAddress } from '../ip/address.ts';
import { parseCidr } from '../ip/cidr.ts';
import type { Endpoint, Peer } from './api.ts';
import { Device } from './device.ts';
import { decodeDataHeader, MESSAGE_DATA } from './messages.ts';
import { PacketLoop } from './packetloop.ts';

/** What the network does with a datagram: the delays of the copies that arrive, in milliseconds. */
export type Fate = readonly number[];

export interface Datagram {
  readonly at: number;
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly bytes: Uint8Array;
}

export interface SimulatedNode {
  readonly name: string;
  loop: PacketLoop;
  device: Device;
  readonly tunnelAddress: string;
  /** Texts of the packets that came out of the tunnel. */
  readonly received: string[];
  endpoint: Endpoint;
}

interface Arrival extends Datagram {
  readonly arrives: number;
}

export class SimulatedNetwork {
  /** Milliseconds since the network began; it begins well after 0. */
  now = 1_000_000;
  /** Moves the wall clocks, in seconds, against `now`. */
  wallClockOffset = 1_700_000_000;
  fateOf: (datagram: Datagram) => Fate = () => [10];
  /** Everything that was sent, for an eavesdropper. */
  readonly wire: Datagram[] = [];
  readonly #nodes: SimulatedNode[] = [];
  #arrivals: Arrival[] = [];

  /** A node with a private key, at 192.0.2.n:51820 with tunnel address 10.0.0.n. */
  addNode(seed: string): SimulatedNode {
    const number = this.#nodes.length + 1;
    const loop = this.#start(seed);
    loop.device.setPrivateKey(seededRandom(`${seed} key`)(32), this.now);
    const node = {
      name: seed,
      loop,
      device: loop.device,
      tunnelAddress: `10.0.0.${number}`,
      received: [],
      endpoint: { address: `192.0.2.${number}`, port: 51820 },
    };
    this.#nodes.push(node);
    return node;
  }

  /** The program of a node dies and starts again with the same configuration: sessions and labels are lost. */
  restart(node: SimulatedNode): void {
    const before = node.device;
    node.loop = this.#start(`${node.name} at ${this.now}`);
    node.device = node.loop.device;
    node.device.setPrivateKey(before.privateKey, this.now);
    for (const remote of this.#nodes) {
      const known = before.peers.get(toHex(remote.device.publicKey!));
      if (known) this.introduce(node, remote, true);
    }
  }

  /** Makes `remote` a peer of `node`, with its endpoint where wanted. */
  introduce(node: SimulatedNode, remote: SimulatedNode, withEndpoint: boolean): Peer {
    const peer = node.device.upsertPeer(remote.device.publicKey!)!;
    node.loop.allowedIps.add(parseCidr(remote.tunnelAddress)!, peer);
    if (withEndpoint) peer.setEndpoint(remote.endpoint, this.now);
    this.settle(node);
    return peer;
  }

  /** Two nodes that know each other. */
  pair(seed: string): { a: SimulatedNode; b: SimulatedNode; toB: Peer; toA: Peer } {
    const [a, b] = [this.addNode(`${seed}a`), this.addNode(`${seed}b`)];
    return { a, b, toB: this.introduce(a, b, true), toA: this.introduce(b, a, true) };
  }

  /** Sends a text in a packet to the tunnel address of another node. */
  say(node: SimulatedNode, to: SimulatedNode, text: string): void {
    node.loop.send(packetOf(node.tunnelAddress, to.tunnelAddress, text), this.now);
    this.collect(node);
  }

  /** After a change to a device from outside. */
  settle(node: SimulatedNode): void {
    node.loop.settle(this.now);
    this.collect(node);
  }

  /** Puts a datagram on the wire as if `from` had sent it. */
  inject(datagram: Omit<Datagram, 'at'>): void {
    this.#transmit({ ...datagram, at: this.now });
  }

  advance(milliseconds: number): void {
    const until = this.now + milliseconds;
    for (;;) {
      const arrival = this.#arrivals[0];
      const timeouts = this.#nodes.map(node => node.loop.nextTimeout()?.at ?? Number.POSITIVE_INFINITY);
      const next = Math.min(arrival?.arrives ?? Number.POSITIVE_INFINITY, ...timeouts);
      if (next > until) break;
      this.now = Math.max(this.now, next);
      if (arrival && arrival.arrives <= this.now) this.#arrive(this.#arrivals.shift()!);
      for (const node of this.#nodes) {
        if ((node.loop.nextTimeout()?.at ?? Number.POSITIVE_INFINITY) > this.now) continue;
        node.loop.handleTimeout(this.now);
        this.collect(node);
      }
    }
    this.now = until;
  }

  /** Puts on the wire what a node has to send, and reads what it delivers. */
  collect(node: SimulatedNode): void {
    for (let next = node.loop.pollTransmit(); next; next = node.loop.pollTransmit()) {
      this.#transmit({ at: this.now, from: node.endpoint, to: next.to, bytes: next.bytes });
    }
    for (let next = node.loop.pollDelivery(); next; next = node.loop.pollDelivery()) {
      node.received.push(new TextDecoder().decode(next.packet.subarray(20)));
    }
  }

  #start(seed: string): PacketLoop {
    const random = seededRandom(seed);
    const wallClock = () => {
      const ms = this.now + this.wallClockOffset * 1000;
      return { seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1_000_000 };
    };
    return new PacketLoop(activity => new Device({ random, now: this.now, wallClock, activity }));
  }

  #transmit(datagram: Datagram): void {
    this.wire.push(datagram);
    for (const delay of this.fateOf(datagram))
      this.#arrivals.push({ ...datagram, arrives: this.now + delay });
    this.#arrivals.sort((x, y) => x.arrives - y.arrives);
  }

  #arrive(arrival: Arrival): void {
    const { address, port } = arrival.to;
    const node = this.#nodes.find(each => each.endpoint.address === address && each.endpoint.port === port);
    if (!node) return;
    node.loop.receive(arrival.bytes, arrival.from, this.now);
    this.collect(node);
  }
}

/** The same bytes for the same seed. */
export function seededRandom(seed: string): (bytes: number) => Uint8Array {
  let count = 0;
  return bytes => {
    let stream = new Uint8Array();
    while (stream.length < bytes) {
      const block = createHash('sha256').update(`${seed}/${count++}`).digest();
      stream = concatBytes(stream, block) as Uint8Array<ArrayBuffer>;
    }
    return stream.subarray(0, bytes);
  };
}

export const isData = (datagram: Datagram): boolean => datagram.bytes[0] === MESSAGE_DATA;

/** The nonce that a data packet was sealed with: receiver and counter together. */
export function nonceOf(datagram: Datagram): string {
  const { receiverIndex, counter } = decodeDataHeader(datagram.bytes);
  return `${receiverIndex}/${counter}`;
}

/** An IPv4 packet of the protocol number for experiments (253). */
export function packetOf(source: string, destination: string, text: string): Uint8Array {
  const payload = new TextEncoder().encode(text);
  const packet = new Uint8Array(20 + payload.length);
  packet.set([0x45, 0, packet.length >> 8, packet.length & 0xff, 0, 0, 0, 0, 64, 253]);
  packet.set(parseAddress(source)!.bytes, 12);
  packet.set(parseAddress(destination)!.bytes, 16);
  packet.set(payload, 20);
  return packet;
}

/** Whether a text can be read anywhere on the wire. */
export function isInClear(network: SimulatedNetwork, text: string): boolean {
  const marker = toHex(new TextEncoder().encode(text));
  return network.wire.some(datagram => toHex(datagram.bytes).includes(marker));
}

/** What the wire saw of sealed packets, by tcpdump: which counters were used under which key, and how many handshakes. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exited, type Side, until } from './pair.ts';

const ETHERNET_HEADER = 14;
const PROTOCOL_ESP = 50;
const PROTOCOL_UDP = 17;

export interface Sealed {
  /** Packets by sender, protocol and key (receiver index, SPI). */
  readonly packets: Map<string, number>;
  /** Counters that came more than once under the same key of the same sender. */
  readonly repeated: string[];
  /** WireGuard messages of type 1 and 2. */
  readonly handshakes: number;
}

export class SealedCapture implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'pellicle-capture-'));
  readonly #tcpdump: ReturnType<Side['spawn']>;

  private constructor(side: Side) {
    // So that every datagram of a train is seen by itself.
    side.run('ip', 'link', 'set', side.veth, 'gso_max_segs', '1');
    const filter = 'esp or (udp and portrange 51801-51802)';
    const options = ['-s', '96', '-B', '65536', '-Z', 'root', '-w', this.#file];
    this.#tcpdump = side.spawn('tcpdump', '-i', side.veth, ...options, filter);
  }

  static async start(side: Side): Promise<SealedCapture> {
    const capture = new SealedCapture(side);
    let output = '';
    capture.#tcpdump.stderr?.on('data', chunk => {
      output += chunk;
    });
    await until('tcpdump listens', () => output.includes('listening on'));
    return capture;
  }

  async stop(): Promise<Sealed> {
    this.#tcpdump.kill('SIGTERM');
    await exited(this.#tcpdump);
    return readCapture(readFileSync(this.#file));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#tcpdump.kill('SIGTERM');
    await exited(this.#tcpdump);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #file(): string {
    return join(this.#folder, 'sealed.pcap');
  }
}

/** A file of pcap(5) with Ethernet frames of IPv4. */
function readCapture(file: Buffer): Sealed {
  const seen = new Map<string, Set<bigint>>();
  const repeated: string[] = [];
  let handshakes = 0;
  const count = (key: string, counter: bigint) => {
    const counters = seen.get(key) ?? new Set();
    seen.set(key, counters);
    if (counters.has(counter)) repeated.push(`${key} ${counter}`);
    counters.add(counter);
  };
  for (let at = 24; at + 16 <= file.length; ) {
    const length = file.readUInt32LE(at + 8);
    const packet = file.subarray(at + 16 + ETHERNET_HEADER, at + 16 + length);
    at += 16 + length;
    const sender = packet.subarray(12, 16).join('.');
    const payload = packet.subarray(4 * (packet[0]! & 15));
    if (packet[9] === PROTOCOL_ESP) {
      count(`${sender} esp ${payload.readUInt32BE(0)}`, BigInt(payload.readUInt32BE(4)));
    } else if (packet[9] === PROTOCOL_UDP && payload.length >= 24) {
      const message = payload.subarray(8);
      if (message[0] === 4) count(`${sender} wg ${message.readUInt32LE(4)}`, message.readBigUInt64LE(8));
      else handshakes++;
    }
  }
  return {
    packets: new Map([...seen].map(([key, counters]) => [key, counters.size])),
    repeated,
    handshakes,
  };
}

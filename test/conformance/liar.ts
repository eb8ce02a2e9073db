/** A peer that is our own protocol core: it says whatever a test wants said, under keys that are right. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { concatBytes, fromBase64, toBase64 } from '../../src/proto/bytes.ts';
import { parseCidr } from '../../src/proto/ip/cidr.ts';
import { seal } from '../../src/proto/wireguard/crypto.ts';
import type { Keypair } from '../../src/proto/wireguard/device.ts';
import { encodeDataHeader } from '../../src/proto/wireguard/messages.ts';
import { until } from '../engine/pair.ts';
import { Core } from '../interop/core.ts';
import { echoReplySequence, echoRequest } from '../interop/ping.ts';
import type { Interface, Place, World } from './world.ts';

const NOTHING = new Uint8Array();
const RELAY = join(import.meta.dirname, '../interop/relay.ts');

export class Liar implements AsyncDisposable {
  readonly core: Core;
  readonly engine: Interface;
  /** Of the session that is there from the beginning. */
  keypair!: Keypair;

  private constructor(place: Place, engine: Interface) {
    this.engine = engine;
    this.core = new Core({
      startRelay: () =>
        spawn('ip', ['netns', 'exec', place.netns, process.execPath, RELAY], {
          stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        }),
    });
  }

  /** At 127.0.0.1:2000 beside an engine at port 1000, with a session that works, and that the one or the other began. */
  static async open(world: World, initiator: 'liar' | 'engine' = 'liar'): Promise<Liar> {
    const place = world.place();
    const engine = await world.engine(place);
    const liar = new Liar(place, engine);
    const { core } = liar;
    await core.bind(4, 2000);
    await engine.set({
      privateKey: engine.keys.privateKey,
      listenPort: 1000,
      peers: [
        {
          publicKey: toBase64(core.device.publicKey!),
          allowedIps: ['10.9.0.2/32'],
          ...(initiator === 'engine' && { endpoint: '127.0.0.1:2000' }),
        },
      ],
    });
    place.ip('address', 'add', '10.9.0.1/24', 'dev', engine.device);
    place.ip('link', 'set', engine.device, 'up');
    const peer = core.device.upsertPeer(fromBase64(engine.keys.publicKey)!)!;
    core.loop.allowedIps.add(parseCidr('10.9.0.1/32')!, peer);
    peer.setEndpoint({ address: '127.0.0.1', port: 1000 }, core.now);
    core.settle();
    if (initiator === 'engine') await once(place.spawn('ping', '-c', '1', '-W', '5', '10.9.0.2'), 'exit');
    await liar.ping(1);
    liar.keypair = core.loop.currentKeypair(peer)!;
    return liar;
  }

  async ping(sequence: number): Promise<void> {
    this.core.send(echoRequest('10.9.0.2', '10.9.0.1', sequence));
    await until('the pong', () => this.core.delivered.some(packet => echoReplySequence(packet) === sequence));
  }

  say(counter: bigint, packet: Uint8Array): void {
    const sealed = seal(this.keypair.sendKey, counter, packet, NOTHING);
    const message = concatBytes(encodeDataHeader(this.keypair.remoteIndex, counter), sealed);
    this.core.sendRaw(message, '127.0.0.1', 1000, 1);
  }

  /** Bytes that the engine took from this peer, and what it dropped of it. */
  async taken(): Promise<{ bytes: number; drops: Record<string, number> }> {
    const { rxBytes } = await this.engine.peer(toBase64(this.core.device.publicKey!));
    return { bytes: rxBytes, drops: await this.engine.drops() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.core.close();
  }
}

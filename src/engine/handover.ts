/**
 * One engine takes the place of another: TUN devices, sockets, sessions, counters and the clients of the configuration
 * sockets go over to a new process, over a unix socket (0600) that only a process of the same user may use.
 *
 *     new                              old
 *     hello: format, devices    ───▶   refuses with a sentence, or stands still: seals and opens nothing,
 *                                      what comes waits in the kernel's queues
 *                               ◀───   everything it knows, with descriptors
 *     makes all of it, standing still
 *     ready, or refuses         ───▶
 *                               ◀───   yours; from before this is sent, it never seals again
 *     starts                           ends
 *
 * Exactly one of them may ever seal, as both know the same keys and counters. The old one decides, by `yours`:
 *
 * - The new one refuses, dies, says nothing for PATIENCE_MS, or cannot be written to, before `yours` is sent: it never
 *   starts without it, so the old one goes on from where it stopped. `yours` counts as sent when the kernel took its last
 *   byte; of one that was not taken as a whole, the new one has no whole message.
 * - The old one dies, or closes the connection, before `yours` is sent: the new one sees the end of the stream, never
 *   starts, and ends. Nobody seals; as after any other crash, an engine starts anew with new handshakes.
 * - The new one dies after `yours` was sent, whether it has read it or not: the old one cannot know, so it never goes on.
 *   Again nobody seals, and whoever watches over engines starts one.
 * - Both wait for each other: not for long. The old one has a deadline, and ends the wait of the new one by closing.
 *
 * While it stands still the old engine does nothing else: all of it happens in one turn of its event loop, with calls that
 * block. Requests that come meanwhile wait in their sockets, for whoever goes on. An answer that its client has not read
 * yet is the old engine's last work; what that client asked for behind it is not answered.
 *
 * FORMAT says what the state looks like, native/engine/handover.cc included. Whoever changes any of it counts it up, and an
 * engine that is asked for another format refuses.
 */
import { statSync } from 'node:fs';
import project from '../../package.json' with { type: 'json' };
import { linuxAddon } from '../linux/addon.ts';
import { wipe } from '../proto/bytes.ts';
import type { CarriedEngine, EngineDevices } from './engine.ts';
import type { Channel } from './handover-channel.ts';
import { decodeState, encodeState } from './handover-codec.ts';
import type { SavedLoop } from './native.ts';

const FORMAT = 2;
/** How long traffic may wait for a new engine that is slow. */
const PATIENCE_MS = 5000;
/** How long the new one waits for an old one, which has to end its turn first, or is stopped. */
const NEW_PATIENCE_MS = 30_000;

/** The words between the two, as JSON: every version has to read and write these. */
type Word =
  | ({ type: 'hello'; format: number; version: string; netns: number } & EngineDevices)
  | { type: 'refused'; why: string }
  | { type: 'ready' }
  | { type: 'yours' };

/** The old engine, as the hand-over needs it. */
export interface Giver extends EngineDevices {
  carry(): CarriedEngine;
  resume(): void;
}

/** `milliseconds` is how long nothing was sealed. */
export type Outcome = { given: true; milliseconds: number } | { given: false; why: string };

/** The old engine's part, after the hello. When it returns that it was not given away, the engine goes on. */
export function giveEngine(channel: Channel, giver: Giver, hello: Buffer): Outcome {
  const deadline = performance.now() + PATIENCE_MS;
  const say = (word: Word) => channel.send(Buffer.from(JSON.stringify(word)), [], deadline);
  let began: number | undefined;
  try {
    if (channel.uid !== process.getuid?.())
      return { given: false, why: 'the other process is another user’s' };
    const why = refusalOf(wordOf(hello), giver);
    if (why) {
      say({ type: 'refused', why });
      return { given: false, why };
    }
    began = performance.now();
    sendState(channel, giver.carry(), deadline);
    const answer = listen(channel, deadline);
    if (answer?.type === 'ready') {
      say({ type: 'yours' });
      return { given: true, milliseconds: performance.now() - began };
    }
    giver.resume();
    return { given: false, why: answer?.type === 'refused' ? answer.why : 'the new engine ended' };
  } catch (error) {
    if (began !== undefined) giver.resume();
    return { given: false, why: messageOf(error) };
  }
}

/** An engine that stands still until `confirm` returns. When that throws, it may never start. */
export interface Taken {
  readonly carried: CarriedEngine;
  confirm(): void;
  /** Instead of `confirm`: the old engine goes on. */
  refuse(why: string): void;
}

/** The new engine's part. Throws with a sentence when the old one refuses: it goes on then. */
export function takeEngine(channel: Channel, devices: EngineDevices): Taken {
  const deadline = performance.now() + NEW_PATIENCE_MS;
  const say = (word: Word) => channel.send(Buffer.from(JSON.stringify(word)), [], deadline);
  if (channel.uid !== process.getuid?.())
    throw new Error('the running engine is another user’s: become that user');
  const { version } = project;
  say({ type: 'hello', format: FORMAT, version, netns: networkNamespace(), ...devices });
  const message = channel.receive(deadline);
  if (!message) throw new Error('the running engine did not answer: see what it logged');
  const word = wordOf(message.bytes);
  if (word) {
    throw new Error(word.type === 'refused' ? word.why : `the running engine answered with ${word.type}`);
  }
  const carried = unpack(decodeState(message.bytes), message.fds);
  return {
    carried,
    confirm() {
      wipe(message.bytes);
      say({ type: 'ready' });
      if (listen(channel, deadline)?.type !== 'yours')
        throw new Error('the running engine went on by itself');
      channel.close();
    },
    refuse(why) {
      wipe(message.bytes);
      try {
        say({ type: 'refused', why });
      } catch {
        // It is gone, or went on: so it would have.
      }
      channel.close();
    },
  };
}

function refusalOf(hello: Word | undefined, has: EngineDevices): string | undefined {
  if (hello?.type !== 'hello') return 'the other process says no hello';
  if (hello.format !== FORMAT) {
    return (
      `the running engine (${project.version}) hands over in format ${FORMAT}, the new one (${hello.version}) takes ` +
      `${hello.format}: end the running one and start the new one`
    );
  }
  if (hello.netns !== networkNamespace())
    return 'the running engine is in another network namespace: start there';
  for (const [what, own, asked] of [
    ['WireGuard', has.name, hello.name],
    ['ESP', has.ipsec, hello.ipsec],
  ]) {
    if (own !== undefined && own !== asked) {
      return `the running engine serves the ${what} device ${own}, the new one ${asked ?? 'none'}: name the same`;
    }
  }
  return undefined;
}

function sendState(channel: Channel, carried: CarriedEngine, deadline: number): void {
  const fds: number[] = [];
  const bytes = encodeState(pack(carried, fds));
  try {
    channel.send(bytes, fds, deadline);
  } finally {
    wipe(bytes);
    for (const part of [carried.wireguard, carried.ipsec]) if (part) wipe(part.tunnel.loop.state);
    for (const { pending } of carried.wireguard?.tunnel.device.peers ?? [])
      if (pending) wipe(pending.ephemeral);
  }
}

/** Descriptors become their places in `fds`. */
function pack(carried: CarriedEngine, fds: number[]): CarriedEngine {
  return withDescriptors(carried, fd => (fd < 0 ? -1 : fds.push(fd) - 1));
}

/** Of the same version's making (FORMAT), by a process of the same user: its parts check what they cannot bear. */
function unpack(state: unknown, fds: readonly number[]): CarriedEngine {
  const used = new Set<number>();
  const carried = withDescriptors(state as CarriedEngine, place => {
    used.add(place);
    return fds[place] ?? -1;
  });
  for (const [place, fd] of fds.entries()) if (!used.has(place)) linuxAddon().fdClose(fd);
  return carried;
}

function withDescriptors({ wireguard, ipsec }: CarriedEngine, map: (fd: number) => number): CarriedEngine {
  const moved = <Part extends NonNullable<CarriedEngine['wireguard'] | CarriedEngine['ipsec']>>(
    part: Part,
  ) => {
    const { tunnel, server } = part;
    const loop: SavedLoop = { ...tunnel.loop, descriptors: tunnel.loop.descriptors.map(map) };
    const clients = server.clients.map(({ socket, received }) => ({ socket: map(socket), received }));
    return { ...part, tunnel: { ...tunnel, loop }, server: { listener: map(server.listener), clients } };
  };
  return { wireguard: wireguard && moved(wireguard), ipsec: ipsec && moved(ipsec) };
}

/** Undefined at the end of the stream. */
function listen(channel: Channel, deadline: number): Word | undefined {
  const message = channel.receive(deadline);
  if (!message) return undefined;
  for (const fd of message.fds) linuxAddon().fdClose(fd);
  const word = wordOf(message.bytes);
  if (!word) throw new Error('the other engine says something else than was its turn');
  return word;
}

/** Undefined for what is no word but a state. */
function wordOf(bytes: Buffer): Word | undefined {
  if (bytes[0] !== '{'.charCodeAt(0)) return undefined;
  const word: unknown = parsed(bytes.toString('utf8'));
  return typeof word === 'object' && word !== null && 'type' in word ? (word as Word) : undefined;
}

/** Undefined for what is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function networkNamespace(): number {
  return statSync('/proc/thread-self/ns/net').ino;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

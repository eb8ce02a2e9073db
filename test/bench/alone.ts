/** What a program needs that nobody talks to, and how fast it shakes hands. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeKeys } from '../engine/pair.ts';
import { type Bed, peer, strangers } from './bed.ts';
import { cpuSeconds, residentBytes, runIn } from './command.ts';

const INITIATORS = join(import.meta.dirname, 'initiations.ts');
/** For a garbage collector or a lazy allocation to come to an end. */
const SETTLE_MS = 500;

export interface AloneResult {
  bytesWithOnePeer: number;
  bytesWithManyPeers: number;
  /** For each peer more, without pages of files: code that runs for the first time is no peer's. */
  bytesForPeer: number;
  /** NaN when not all were answered. */
  handshakesPerSecond: number;
  cpuMillisecondsPerHandshake: number;
}

/** With a process of its own, which ends with it. Of its idle peers so many shake hands in the end. */
export async function measureAlone(
  bed: Bed,
  { idlePeers, initiators }: { idlePeers: number; initiators: number },
): Promise<AloneResult> {
  const { alone, program } = bed;
  const keys = Array.from({ length: initiators }, makeKeys);
  const lines = [
    ...keys.map((key, i) => peer(key, `10.11.${i >> 8}.${i & 255}`)),
    ...strangers(idlePeers - initiators),
  ];
  await alone.start(program);
  try {
    await alone.bringUp('10.9.0.1');
    await alone.configure(lines.slice(0, 1));
    const one = await settledMemory(alone.pid);
    await alone.configure(lines);
    const many = await settledMemory(alone.pid);
    const cpuBefore = cpuSeconds(alone.pid);
    const publicKey = hexOf(alone.keys.publicKey);
    const output = await runIn(
      alone.netns,
      process.execPath,
      ['--disable-warning=ExperimentalWarning', INITIATORS, String(alone.port), publicKey],
      { input: keys.map(({ privateKey }) => hexOf(privateKey)).join('\n') },
    );
    const seconds = output === '' ? Number.NaN : Number(output);
    return {
      bytesWithOnePeer: one.all,
      bytesWithManyPeers: many.all,
      bytesForPeer: (many.own - one.own) / (idlePeers - 1),
      handshakesPerSecond: initiators / seconds,
      cpuMillisecondsPerHandshake:
        output === '' ? Number.NaN : ((cpuSeconds(alone.pid) - cpuBefore) * 1000) / initiators,
    };
  } finally {
    await alone.stop();
  }
}

async function settledMemory(pid: number): Promise<ReturnType<typeof residentBytes>> {
  await delay(SETTLE_MS);
  return residentBytes(pid);
}

function hexOf(base64: string): string {
  return Buffer.from(base64, 'base64').toString('hex');
}

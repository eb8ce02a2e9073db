/** What a program needs that nobody talks to, and how fast it shakes hands. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeKeys } from '../engine/pair.ts';
import { type Bed, peer } from './bed.ts';
import { cpuSeconds, residentBytes, runIn } from './command.ts';

const INITIATORS = join(import.meta.dirname, 'initiations.ts');
/** For a garbage collector or a lazy allocation to come to an end. */
const SETTLE_MS = 500;

export interface AloneResult {
  bytesWithOnePeer: number;
  bytesWithManyPeers: number;
  /** NaN when not all were answered. */
  handshakesPerSecond: number;
  cpuMillisecondsPerHandshake: number;
}

/** With a process of its own, which ends with it. */
export async function measureAlone(bed: Bed, peers: number): Promise<AloneResult> {
  const { alone, program } = bed;
  const keys = Array.from({ length: peers }, makeKeys);
  const lines = keys.map((key, i) => peer(key, `10.10.${i >> 8}.${i & 255}`));
  await alone.start(program);
  try {
    await alone.bringUp('10.9.0.1');
    await alone.configure(lines.slice(0, 1));
    const bytesWithOnePeer = await settledMemory(alone.pid);
    await alone.configure(lines);
    const bytesWithManyPeers = await settledMemory(alone.pid);
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
      bytesWithOnePeer,
      bytesWithManyPeers,
      handshakesPerSecond: peers / seconds,
      cpuMillisecondsPerHandshake:
        output === '' ? Number.NaN : ((cpuSeconds(alone.pid) - cpuBefore) * 1000) / peers,
    };
  } finally {
    await alone.stop();
  }
}

async function settledMemory(pid: number): Promise<number> {
  await delay(SETTLE_MS);
  return residentBytes(pid);
}

function hexOf(base64: string): string {
  return Buffer.from(base64, 'base64').toString('hex');
}

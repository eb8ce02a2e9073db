/** What a flood of garbage to the port leaves of a TCP stream through the tunnel of a peer. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { exited } from '../engine/pair.ts';
import type { Bed } from './bed.ts';
import { startIn } from './command.ts';
import { measureTcp } from './traffic.ts';

const FLOOD = join(import.meta.dirname, '../conformance/flood.ts');
/** For the flood to be there. */
const START_MS = 500;

export async function measureFlood(
  bed: Bed,
  seconds: number,
): Promise<{ gigabitsPerSecond: number; kept: number }> {
  const stream = { streams: 1, reverse: false, seconds };
  const before = await measureTcp(bed, stream);
  const publicKey = Buffer.from(bed.right.keys.publicKey, 'base64').toString('hex');
  const victim = ['192.0.2.2', String(bed.right.port), publicKey];
  const flood = startIn(bed.left.netns, process.execPath, [FLOOD, 'garbage', ...victim, '192.0.2.1']);
  try {
    await delay(START_MS);
    const { gigabitsPerSecond } = await measureTcp(bed, stream);
    if (flood.exitCode !== null) throw new Error('the flood ended by itself');
    return { gigabitsPerSecond, kept: gigabitsPerSecond / before.gigabitsPerSecond };
  } finally {
    flood.kill('SIGKILL');
    await exited(flood);
  }
}

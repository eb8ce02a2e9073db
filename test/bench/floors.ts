/**
 * How many times better than a peer in the same run the engine has to be, at the least, for `--quick`. These catch a
 * regression, not a busy machine: they lie well below what docs/benchmarks.md tells.
 */
import { FIGURES, type FigureName, type Samples } from './figures.ts';
import type { Program } from './programs.ts';

type Floors = Partial<Record<FigureName, number>>;

const FLOORS: Partial<Record<Program['kind'], Floors>> = {
  'wireguard-go without offloads': {
    tcp1Out: 4,
    tcp4Out: 4,
    cpuTcp1: 6,
    cpuTcp4: 6,
    cpuUdp1400at100: 2,
    pingIdle: 0.9,
    handshakes: 0.15,
  },
  'wireguard-go': {
    tcp1Out: 1.2,
    tcp4Out: 1.2,
    cpuTcp1: 1.6,
    cpuTcp4: 1.6,
    cpuUdp1400at100: 2,
    pingIdle: 0.9,
    handshakes: 0.15,
  },
};

/** Rate with many peers configured against one, of the engine itself. */
const MANY_PEERS_FLOOR = 0.5;

/** A sentence for each floor that does not hold. */
export function brokenFloors(programs: readonly Program[], samples: Samples): string[] {
  const broken: string[] = [];
  const ours = programs.find(({ kind }) => kind === 'ours');
  if (!ours) return broken;
  for (const { name, kind } of programs) {
    for (const [figure, floor] of Object.entries(FLOORS[kind] ?? {}) as [FigureName, number][]) {
      const advantage = samples.advantage(figure, ours.name, name);
      if (advantage >= floor) continue;
      broken.push(
        `${FIGURES[figure].title}: ${advantage.toFixed(2)} × ${name}, at least ${floor} is expected`,
      );
    }
  }
  const many = samples.median('tcpPeers1000', ours.name) / samples.median('tcpPeers1', ours.name);
  if (many < MANY_PEERS_FLOOR) {
    broken.push(
      `TCP with 1,000 peers: ${many.toFixed(2)} of the rate with 1, at least ${MANY_PEERS_FLOOR} is expected`,
    );
  }
  return broken;
}

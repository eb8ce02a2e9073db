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
    pingIdle: 1.5,
    handshakes: 0.25,
    memoryPeer: 1.5,
  },
  'wireguard-go': {
    tcp1Out: 1.2,
    tcp4Out: 1.2,
    cpuTcp1: 1.6,
    cpuTcp4: 1.6,
    cpuUdp1400at100: 2,
    pingIdle: 1.2,
    handshakes: 0.25,
    memoryPeer: 3,
  },
};

/** Of ESP beside strongSwan. */
const ESP_FLOORS: Floors = { tcp1Out: 3, cpuTcp1: 3 };

/** Rate with many peers configured against one, of the engine itself. */
const MANY_PEERS_FLOOR = 0.6;

/** A sentence for each floor that does not hold. */
export function brokenFloors(programs: readonly Program[], samples: Samples): string[] {
  const ours = programs.find(({ kind }) => kind === 'ours');
  if (!ours) return [];
  const broken = programs.flatMap(({ name, kind }) => below(FLOORS[kind] ?? {}, ours.name, name, samples));
  const many = samples.median('tcpPeers5000', ours.name) / samples.median('tcpPeers1', ours.name);
  if (many < MANY_PEERS_FLOOR) {
    broken.push(
      `TCP with 5,000 peers: ${many.toFixed(2)} of the rate with 1, at least ${MANY_PEERS_FLOOR} is expected`,
    );
  }
  return broken;
}

/** The same of ESP: `ours` beside `other`. */
export function brokenEspFloors(ours: string, other: string, samples: Samples): string[] {
  return below(ESP_FLOORS, ours, other, samples);
}

function below(floors: Floors, ours: string, other: string, samples: Samples): string[] {
  return (Object.entries(floors) as [FigureName, number][]).flatMap(([figure, floor]) => {
    const advantage = samples.advantage(figure, ours, other);
    const { title } = FIGURES[figure];
    return advantage >= floor
      ? []
      : [`${title}: ${advantage.toFixed(2)} × ${other}, at least ${floor} is expected`];
  });
}

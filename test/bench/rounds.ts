/** A round measures every figure once with every program, figure by figure, so that what else the machine does hits all alike. */
import { measureAlone } from './alone.ts';
import type { Bed } from './bed.ts';
import type { FigureName, Samples } from './figures.ts';
import { measurePing, measurePingUnderLoad, measureTcp, measureUdp } from './traffic.ts';

/** How much is measured. */
export interface Plan {
  readonly rounds: number;
  /** Of each TCP and UDP run. */
  readonly seconds: number;
  readonly tcp: readonly { streams: 1 | 4; reverse: boolean }[];
  readonly udp: readonly { bytes: 64 | 1400; thousands: 30 | 100 }[];
  /** Also how many peers shake hands. */
  readonly manyPeers: number;
  readonly peers: readonly (1 | 100 | 1000)[];
  readonly pings: number;
  readonly pingsUnderLoad: boolean;
}

export const FULL: Omit<Plan, 'rounds' | 'seconds'> = {
  tcp: [
    { streams: 1, reverse: false },
    { streams: 1, reverse: true },
    { streams: 4, reverse: false },
    { streams: 4, reverse: true },
  ],
  udp: [
    { bytes: 1400, thousands: 30 },
    { bytes: 1400, thousands: 100 },
    { bytes: 64, thousands: 30 },
    { bytes: 64, thousands: 100 },
  ],
  manyPeers: 1000,
  peers: [1, 100, 1000],
  pings: 500,
  pingsUnderLoad: true,
};

export const QUICK: Omit<Plan, 'rounds' | 'seconds'> = {
  tcp: [
    { streams: 1, reverse: false },
    { streams: 4, reverse: false },
  ],
  udp: [{ bytes: 1400, thousands: 100 }],
  manyPeers: 1000,
  peers: [1, 1000],
  pings: 250,
  pingsUnderLoad: false,
};

type Step = (bed: Bed, add: (figure: FigureName, value: number) => void) => Promise<void>;

/** One round. `tell` hears what is measured next. */
export async function measureRound(
  beds: readonly Bed[],
  round: number,
  plan: Plan,
  samples: Samples,
  tell: (what: string) => void,
): Promise<void> {
  // Who goes first changes, so that nobody always runs behind the same other.
  const order = beds.map((_, i) => beds[(i + round) % beds.length]!);
  for (const [what, step] of stepsOf(plan)) {
    tell(what);
    for (const bed of order) {
      const name = bed.program.name;
      await step(bed, (figure, value) => samples.add(figure, name, value));
    }
  }
}

function stepsOf(plan: Plan): [string, Step][] {
  const { seconds } = plan;
  return [
    ...plan.tcp.map(({ streams, reverse }): [string, Step] => [
      `TCP, ${streams} ${streams === 1 ? 'stream' : 'streams'}${reverse ? ', the other way' : ''}`,
      async (bed, add) => {
        const { gigabitsPerSecond, cpuSecondsPerGigabyte } = await measureTcp(bed, {
          streams,
          reverse,
          seconds,
        });
        add(`tcp${streams}${reverse ? 'In' : 'Out'}`, gigabitsPerSecond);
        if (!reverse) add(`cpuTcp${streams}`, cpuSecondsPerGigabyte);
      },
    ]),
    ...plan.udp.map(({ bytes, thousands }): [string, Step] => [
      `UDP, ${bytes} bytes, ${thousands},000/s`,
      async (bed, add) => {
        const packetsPerSecond = thousands * 1000;
        const { cpuMicrosecondsPerPacket, loss } = await measureUdp(bed, {
          bytes,
          packetsPerSecond,
          seconds,
        });
        add(`cpuUdp${bytes}at${thousands}`, cpuMicrosecondsPerPacket);
        add(`lossUdp${bytes}at${thousands}`, loss * 100);
      },
    ]),
    ['ping', async (bed, add) => add('pingIdle', await measurePing(bed, plan.pings, 0.002))],
    ...(plan.pingsUnderLoad
      ? [
          [
            'ping under load',
            async (bed, add) => add('pingLoaded', await measurePingUnderLoad(bed, 2)),
          ] satisfies [string, Step],
        ]
      : []),
    ...plan.peers.map((peers): [string, Step] => [
      `TCP with ${peers} peers`,
      async (bed, add) => {
        if (peers !== 1) await bed.configure(peers);
        const result = await measureTcp(bed, { streams: 1, reverse: false, seconds });
        add(`tcpPeers${peers}`, result.gigabitsPerSecond);
        if (peers === plan.peers.at(-1)) await bed.configure(1);
      },
    ]),
    [
      'memory and handshakes',
      async (bed, add) => {
        const alone = await measureAlone(bed, plan.manyPeers);
        const more = alone.bytesWithManyPeers - alone.bytesWithOnePeer;
        add('memory1', alone.bytesWithOnePeer / 2 ** 20);
        add('memory1000', alone.bytesWithManyPeers / 2 ** 20);
        add('memoryPeer', more / 1024 / (plan.manyPeers - 1));
        add('handshakes', alone.handshakesPerSecond);
        add('cpuHandshake', alone.cpuMillisecondsPerHandshake);
      },
    ],
  ];
}

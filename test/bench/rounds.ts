/** A round measures every figure once with every program, figure by figure, so that what else the machine does hits all alike. */
import { measureAlone } from './alone.ts';
import type { Bed } from './bed.ts';
import type { FigureName, Samples } from './figures.ts';
import { measureFlood } from './flood.ts';
import type { Tunnelled } from './ground.ts';
import { measurePing, measurePingUnderLoad, measureTcp, measureTcpBothWays, measureUdp } from './traffic.ts';

/** How much goes through a tunnel. */
export interface TrafficPlan {
  readonly tcp: readonly { streams: 1 | 4; reverse: boolean }[];
  readonly bothWays: boolean;
  readonly udp: readonly { bytes: 64 | 1400; thousands: 30 | 100 }[];
  readonly pings: number;
  readonly pingsUnderLoad: boolean;
}

/** What else is measured of a WireGuard. */
export interface WireguardPlan extends TrafficPlan {
  readonly idlePeers: number;
  readonly initiators: number;
  readonly peers: readonly (1 | 100 | 5000)[];
  readonly flood: boolean;
}

export const FULL: WireguardPlan = {
  tcp: [
    { streams: 1, reverse: false },
    { streams: 1, reverse: true },
    { streams: 4, reverse: false },
    { streams: 4, reverse: true },
  ],
  bothWays: true,
  udp: [
    { bytes: 1400, thousands: 30 },
    { bytes: 1400, thousands: 100 },
    { bytes: 64, thousands: 30 },
    { bytes: 64, thousands: 100 },
  ],
  pings: 500,
  pingsUnderLoad: true,
  idlePeers: 5000,
  initiators: 3000,
  peers: [1, 100, 5000],
  flood: true,
};

export const QUICK: WireguardPlan = {
  tcp: [
    { streams: 1, reverse: false },
    { streams: 4, reverse: false },
  ],
  bothWays: false,
  udp: [{ bytes: 1400, thousands: 100 }],
  pings: 250,
  pingsUnderLoad: false,
  idlePeers: 5000,
  initiators: 1000,
  peers: [1, 5000],
  flood: false,
};

/** Of ESP. */
export const FULL_ESP: TrafficPlan = { ...FULL, udp: [{ bytes: 1400, thousands: 100 }] };
export const QUICK_ESP: TrafficPlan = {
  ...QUICK,
  tcp: [{ streams: 1, reverse: false }],
  udp: [],
  pings: 100,
};

export interface Step<B extends Tunnelled> {
  readonly what: string;
  measure(bed: B, add: (figure: FigureName, value: number) => void): Promise<void>;
}

/** One round. `tell` hears what is measured next. */
export async function measureRound<B extends Tunnelled>(
  beds: readonly B[],
  steps: readonly Step<B>[],
  round: number,
  samples: Samples,
  tell: (what: string) => void,
): Promise<void> {
  // Who goes first changes, so that nobody always runs behind the same other.
  const order = beds.map((_, i) => beds[(i + round) % beds.length]!);
  for (const { what, measure } of steps) {
    tell(what);
    for (const bed of order) await measure(bed, (figure, value) => samples.add(figure, bed.name, value));
  }
}

/** For any tunnel. `seconds` is of each TCP and UDP run. */
export function trafficSteps(plan: TrafficPlan, seconds: number): Step<Tunnelled>[] {
  const steps: Step<Tunnelled>[] = [
    ...plan.tcp.map(({ streams, reverse }) => tcpStep(streams, reverse, seconds)),
    ...plan.udp.map(({ bytes, thousands }) => udpStep(bytes, thousands, seconds)),
    {
      what: 'ping',
      measure: async (bed, add) => add('pingIdle', await measurePing(bed, plan.pings, 0.002)),
    },
  ];
  if (plan.bothWays) {
    steps.push({
      what: 'TCP both ways at once',
      measure: async (bed, add) => add('tcpBoth', await measureTcpBothWays(bed, seconds)),
    });
  }
  if (plan.pingsUnderLoad) {
    steps.push({
      what: 'ping under load',
      measure: async (bed, add) => add('pingLoaded', await measurePingUnderLoad(bed, 2)),
    });
  }
  return steps;
}

/** Of a WireGuard: peers, handshakes, floods. */
export function wireguardSteps(plan: WireguardPlan, seconds: number): Step<Bed>[] {
  const steps: Step<Bed>[] = plan.peers.map(peers => ({
    what: `TCP with ${peers} peers`,
    measure: async (bed, add) => {
      if (bed.program.kind === 'limit') return;
      if (peers !== 1) await bed.configure(peers);
      const result = await measureTcp(bed, { streams: 1, reverse: false, seconds });
      add(`tcpPeers${peers}`, result.gigabitsPerSecond);
      if (peers === plan.peers.at(-1)) await bed.configure(1);
    },
  }));
  if (plan.flood) {
    steps.push({
      what: 'TCP under a flood of garbage',
      measure: async (bed, add) => {
        if (bed.program.kind === 'limit') return;
        const { gigabitsPerSecond, kept } = await measureFlood(bed, seconds);
        add('floodTcp', gigabitsPerSecond);
        add('floodKept', kept * 100);
      },
    });
  }
  steps.push({
    what: 'memory and handshakes',
    measure: async (bed, add) => {
      if (bed.program.kind === 'limit') return;
      const alone = await measureAlone(bed, plan);
      add('memory1', alone.bytesWithOnePeer / 2 ** 20);
      add('memory5000', alone.bytesWithManyPeers / 2 ** 20);
      add('memoryPeer', alone.bytesForPeer / 1024);
      add('handshakes', alone.handshakesPerSecond);
      add('cpuHandshake', alone.cpuMillisecondsPerHandshake);
    },
  });
  return steps;
}

function tcpStep(streams: 1 | 4, reverse: boolean, seconds: number): Step<Tunnelled> {
  const count = streams === 1 ? '1 stream' : `${streams} streams`;
  return {
    what: `TCP, ${count}${reverse ? ', the other way' : ''}`,
    measure: async (bed, add) => {
      const result = await measureTcp(bed, { streams, reverse, seconds });
      add(`tcp${streams}${reverse ? 'In' : 'Out'}`, result.gigabitsPerSecond);
      if (!reverse) add(`cpuTcp${streams}`, result.cpuSecondsPerGigabyte);
    },
  };
}

function udpStep(bytes: 64 | 1400, thousands: 30 | 100, seconds: number): Step<Tunnelled> {
  return {
    what: `UDP, ${bytes} bytes, ${thousands},000/s`,
    measure: async (bed, add) => {
      const result = await measureUdp(bed, { bytes, packetsPerSecond: thousands * 1000, seconds });
      add(`cpuUdp${bytes}at${thousands}`, result.cpuMicrosecondsPerPacket);
      add(`lossUdp${bytes}at${thousands}`, result.loss * 100);
    },
  };
}

/** What is measured, and the samples of it. */
import { median } from './statistics.ts';

export interface Figure {
  readonly title: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  readonly digits: number;
  /** Figures of one group are drawn together. */
  readonly group:
    | 'TCP'
    | 'CPU, TCP'
    | 'CPU, UDP'
    | 'Loss, UDP'
    | 'Ping'
    | 'Handshakes'
    | 'Memory'
    | 'Peers'
    | 'Flood';
}

const tcp = { unit: 'Gbit/s', better: 'more', digits: 2, group: 'TCP' } as const;
const cpuTcp = { unit: 's/GB', better: 'less', digits: 2, group: 'CPU, TCP' } as const;
const cpuUdp = { unit: 'µs', better: 'less', digits: 1, group: 'CPU, UDP' } as const;
const loss = { unit: '%', better: 'less', digits: 1, group: 'Loss, UDP' } as const;
const ping = { unit: 'µs', better: 'less', digits: 0, group: 'Ping' } as const;
const memory = { unit: 'MiB', better: 'less', digits: 1, group: 'Memory' } as const;
const peers = { unit: 'Gbit/s', better: 'more', digits: 2, group: 'Peers' } as const;

export const FIGURES = {
  tcp1Out: { title: 'TCP, 1 stream', ...tcp },
  tcp1In: { title: 'TCP, 1 stream, the other way', ...tcp },
  tcp4Out: { title: 'TCP, 4 streams', ...tcp },
  tcp4In: { title: 'TCP, 4 streams, the other way', ...tcp },
  tcpBoth: { title: 'TCP, 1 stream each way at once', ...tcp },
  cpuTcp1: { title: 'CPU for a gigabyte, 1 stream', ...cpuTcp },
  cpuTcp4: { title: 'CPU for a gigabyte, 4 streams', ...cpuTcp },
  cpuUdp1400at30: { title: 'CPU for a packet, 1400 bytes, 30,000/s', ...cpuUdp },
  lossUdp1400at30: { title: 'Loss, 1400 bytes, 30,000/s', ...loss },
  cpuUdp1400at100: { title: 'CPU for a packet, 1400 bytes, 100,000/s', ...cpuUdp },
  lossUdp1400at100: { title: 'Loss, 1400 bytes, 100,000/s', ...loss },
  cpuUdp64at30: { title: 'CPU for a packet, 64 bytes, 30,000/s', ...cpuUdp },
  lossUdp64at30: { title: 'Loss, 64 bytes, 30,000/s', ...loss },
  cpuUdp64at100: { title: 'CPU for a packet, 64 bytes, 100,000/s', ...cpuUdp },
  lossUdp64at100: { title: 'Loss, 64 bytes, 100,000/s', ...loss },
  pingIdle: { title: 'Ping, median, idle', ...ping },
  pingLoaded: { title: 'Ping, median, under 1 TCP stream', ...ping },
  handshakes: { title: 'Handshakes answered', unit: '/s', better: 'more', digits: 0, group: 'Handshakes' },
  cpuHandshake: { title: 'CPU for a handshake', unit: 'ms', better: 'less', digits: 2, group: 'Handshakes' },
  memory1: { title: 'Memory, 1 idle peer', ...memory },
  memory5000: { title: 'Memory, 5,000 idle peers', ...memory },
  memoryPeer: { title: 'Memory for an idle peer more', ...memory, unit: 'KiB' },
  tcpPeers1: { title: 'TCP, 1 stream, 1 peer configured', ...peers },
  tcpPeers100: { title: 'TCP, 1 stream, 100 peers configured', ...peers },
  tcpPeers5000: { title: 'TCP, 1 stream, 5,000 peers configured', ...peers },
  floodTcp: {
    title: 'TCP, 1 stream, under a flood of garbage',
    unit: 'Gbit/s',
    better: 'more',
    digits: 2,
    group: 'Flood',
  },
  floodKept: {
    title: 'What that is of the rate just before',
    unit: '%',
    better: 'more',
    digits: 0,
    group: 'Flood',
  },
} as const satisfies Record<string, Figure>;

export type FigureName = keyof typeof FIGURES;
export const FIGURE_NAMES = Object.keys(FIGURES) as FigureName[];

/** Values by figure and program, one a round. */
export class Samples {
  readonly #values = new Map<string, number[]>();

  add(figure: FigureName, program: string, value: number): void {
    const key = `${figure} ${program}`;
    const known = this.#values.get(key);
    if (known) known.push(value);
    else this.#values.set(key, [value]);
  }

  of(figure: FigureName, program: string): readonly number[] {
    return this.#values.get(`${figure} ${program}`) ?? [];
  }

  /** NaN of what was not measured. */
  median(figure: FigureName, program: string): number {
    return median(this.of(figure, program));
  }

  /** How many times better `program` is than `other`: the median of the ratios within each round. */
  advantage(figure: FigureName, program: string, other: string): number {
    const mine = this.of(figure, program);
    const theirs = this.of(figure, other);
    const ratios = mine.slice(0, theirs.length).map((value, i) => value / theirs[i]!);
    const ratio = median(ratios);
    return FIGURES[figure].better === 'more' ? ratio : 1 / ratio;
  }
}

/** The figures as tables, and the page that carries them. */
import { cpus, loadavg, release, totalmem } from 'node:os';
import { espAddon } from '../../src/engine/esp-native.ts';
import { FIGURE_NAMES, FIGURES, type FigureName, type Samples } from './figures.ts';

export interface Run {
  readonly command: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly machine: string;
}

/** Programs that do the same thing. */
export interface Section {
  readonly title: string;
  /** Names, ours first. */
  readonly programs: readonly string[];
  readonly samples: Samples;
}

export function describeMachine(): string {
  const processors = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const load = loadavg()[0]!.toFixed(1);
  return (
    `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}, ${memory} GiB, ` +
    `Linux ${release()}, Node.js ${process.versions.node} (OpenSSL ${process.versions.openssl}), ` +
    `AES-GCM by ${espAddon().gcmLibraries()[0]}, load ${load} at the start`
  );
}

/** Rows of cells: medians, and behind each other program how many times better ours is. */
export function tableOf(programs: readonly string[], samples: Samples): string[][] {
  const [ours = '', ...others] = programs;
  const header = ['', ours, ...others.flatMap(name => [name, 'ours is better'])];
  const rows = FIGURE_NAMES.filter(figure => samples.of(figure, ours).length > 0).map(figure => [
    FIGURES[figure].title,
    cellOf(samples, figure, ours),
    ...others.flatMap(name => [cellOf(samples, figure, name), advantageOf(samples, figure, ours, name)]),
  ]);
  return [header, ...rows];
}

/** In columns, for a terminal. */
export function textOf(table: readonly (readonly string[])[]): string {
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map(row => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ');
  return table.map(line).join('\n');
}

export function markdownOf(table: readonly (readonly string[])[]): string {
  const [header = [], ...rows] = table;
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map((_, i) => (i === 0 ? '---' : '--:'))), ...rows.map(line)].join('\n');
}

/** docs/benchmarks.md. */
export function pageOf(run: Run, sections: readonly Section[]): string {
  const tables = sections.map(
    ({ title, programs, samples }) => `## ${title}\n\n${markdownOf(tableOf(programs, samples))}`,
  );
  return `# Benchmarks

Written by \`${run.command}\`. Run it on your own machine: what is below holds for this one, and other work on it counts.

> ${run.machine}

![The engine beside other programs in user space](benchmarks.svg)

${tables.join('\n\n')}

## How it is measured

Two network namespaces joined by a veth pair (MTU 1500), one tunnel for each program, both ends the same program, all on one machine.
Every figure is taken from one program after the other before the next figure, ${run.rounds} rounds long, each TCP and UDP run ${run.seconds} s. The tables have
medians. "Ours is better" is the median of the ratios within each round, which other work on the machine moves less: 2.00 × is twice the
rate or half the cost.

- **Names** carry the version that a program tells of itself. Debian 13's wireguard-go (package 0.0.20231211) says 20230223. The engine
  without its cipher copies packets where it would seal and open them: the limit of its design.
- **MTU** of the tunnel: 1420 for WireGuard, 1400 for ESP in UDP, 1373 for ESP inside vxlan, for every program. Inside vxlan strongSwan's
  ESP is in UDP too, as it knows no other; the engine's is not, as in a cluster.
- **CPU** is user and system time of the programs at both ends, without iperf3 and without what the kernel does on its own account. A GB is
  10^9 bytes of TCP payload. For UDP it is the time for a packet that came out of the tunnel, at a fixed offered rate; bytes are those of
  the packet inside.
- **Loss** is between the sender and the other end of the tunnel. On a shared machine it tells how that was scheduled more than anything else.
- **Handshakes** are answers to initiations from 3,000 different peers, eight outstanding, over loopback. A dash: not all were answered (a
  program may take that for an attack).
- **Memory** is what is resident after 1 and 5,000 peers were configured that nobody uses. The engine is a Node.js program and starts with
  what that needs, most of it pages of the program's file. "For an idle peer more" is the difference without pages of files.
- **A flood of garbage** is datagrams of every kind that are no messages of a session, as fast as one process sends them, from the side that
  the TCP stream comes from. That process, both engines and iperf3 share the processors.
`;
}

function cellOf(samples: Samples, figure: FigureName, program: string): string {
  const value = samples.median(figure, program);
  return Number.isFinite(value) ? `${value.toFixed(FIGURES[figure].digits)} ${FIGURES[figure].unit}` : '–';
}

function advantageOf(samples: Samples, figure: FigureName, ours: string, other: string): string {
  if (FIGURES[figure].group === 'Loss, UDP') return '';
  const advantage = samples.advantage(figure, ours, other);
  return Number.isFinite(advantage) ? `${advantage.toFixed(2)} ×` : '–';
}

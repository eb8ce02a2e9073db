/** The bars of docs/benchmarks.svg. It has no background of its own and follows the reader's light or dark scheme. */
import { FIGURE_NAMES, FIGURES, type Figure, type FigureName, type Samples } from './figures.ts';
import type { Section } from './report.ts';

const PANELS: readonly { group: Figure['group']; title: string }[] = [
  { group: 'TCP', title: 'TCP, Gbit/s: longer is better' },
  { group: 'CPU, TCP', title: 'CPU seconds for a gigabyte, both ends: shorter is better' },
  { group: 'CPU, UDP', title: 'CPU µs for a UDP packet, both ends: shorter is better' },
  { group: 'Ping', title: 'Ping, median µs: shorter is better' },
];

const WIDTH = 860;
const LABELS = 300;
const VALUES = 60;
const BAR = 12;
const BAR_STEP = 15;
const FIGURE_GAP = 8;
const PANEL_GAP = 22;
const SECTION_GAP = 48;
const LINE = 20;

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .section { font-weight: 700; font-size: 16px; }
  .title { font-weight: 600; font-size: 13px; }
  .bar0 { fill: #0f8a7e; } .bar1 { fill: #8c96a3; } .bar2 { fill: #b58a3c; } .bar3 { fill: #8069b0; } .bar4 { fill: #a8576a; }
  @media (prefers-color-scheme: dark) {
    text { fill: #d6dbe1; }
    .bar0 { fill: #2fc4b2; } .bar1 { fill: #737d8a; } .bar2 { fill: #c79c4b; } .bar3 { fill: #9a84c9; } .bar4 { fill: #c26f83; }
  }`;

/** For each section a legend, and one panel for each group that was measured with one bar for each program. */
export function chartOf(sections: readonly Section[]): string {
  const parts: string[] = [];
  let y = 0;
  for (const section of sections) y = drawSection(section, y, parts);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">
<title>The engine beside other programs in user space</title>
<style>${STYLE}
</style>
${parts.join('\n')}
</svg>
`;
}

/** Below `top`. Returns where it ends. */
function drawSection({ title, programs, samples }: Section, top: number, parts: string[]): number {
  let y = top + (top > 0 ? SECTION_GAP : LINE);
  parts.push(text(0, y, title, 'section'));
  y += LINE + FIGURE_GAP;
  programs.forEach((name, i) => {
    parts.push(`<rect class="bar${i % 5}" x="0" y="${y - BAR + 2}" width="${BAR}" height="${BAR}"/>`);
    parts.push(text(BAR + 6, y, name));
    y += LINE;
  });
  for (const panel of PANELS) {
    const figures = FIGURE_NAMES.filter(name => FIGURES[name].group === panel.group).filter(name =>
      programs.some(program => Number.isFinite(samples.median(name, program))),
    );
    if (figures.length === 0) continue;
    y += PANEL_GAP;
    parts.push(text(0, y, panel.title, 'title'));
    y += FIGURE_GAP;
    const longest = Math.max(...figures.flatMap(figure => drawable(figure, programs, samples)));
    for (const figure of figures) {
      parts.push(text(0, y + BAR - 1, FIGURES[figure].title));
      for (const [i, program] of programs.entries()) {
        const value = samples.median(figure, program);
        if (!Number.isFinite(value)) continue;
        const length = Math.max(1, (value / longest) * (WIDTH - LABELS - VALUES));
        parts.push(
          `<rect class="bar${i % 5}" x="${LABELS}" y="${y}" width="${length.toFixed(1)}" height="${BAR}"/>`,
          text(LABELS + length + 6, y + BAR - 2, value.toFixed(FIGURES[figure].digits)),
        );
        y += BAR_STEP;
      }
      y += FIGURE_GAP;
    }
  }
  return y;
}

function drawable(figure: FigureName, programs: readonly string[], samples: Samples): number[] {
  return programs.map(program => samples.median(figure, program)).filter(Number.isFinite);
}

function text(x: number, y: number, content: string, className?: string): string {
  const escaped = content.replace(/[&<>]/g, character => `&#${character.charCodeAt(0)};`);
  return `<text x="${x.toFixed(1)}" y="${y}"${className ? ` class="${className}"` : ''}>${escaped}</text>`;
}

/** Prints a report as people know it from `cilium status`. */
import { AGENT, ENGINE, OPERATOR } from '../install/labels.ts';
import { CILIUM_VERSION } from '../root.ts';
import type { Colour } from '../terminal.ts';
import { COMPONENTS, type Problem, type StatusReport } from './report.ts';

type Paint = (name: Colour, text: string) => string;

/** Several words and states; every line ends in a newline. */
export function formatStatus(report: StatusReport, paint: Paint): string {
  return `${logo(report, paint)}\n${table(report)}${problems('Errors', report.errors, paint, 'red')}${problems('Warnings', report.warnings, paint, 'yellow')}`;
}

/** The state of one part of the whole: OK, or what is wrong with it in a few words. */
export function stateOf(report: StatusReport, components: string[]): string {
  const number = (list: Problem[]) => list.filter(({ component }) => components.includes(component)).length;
  const errors = number(report.errors);
  const warnings = number(report.warnings);
  const parts = [errors > 0 && plural(errors, 'error'), warnings > 0 && plural(warnings, 'warning')].filter(
    Boolean,
  );
  return parts.length === 0 ? 'OK' : parts.join(', ');
}

/** `Wireguard (3/3 nodes)`, as `cilium encryption status` has it. */
export function encryptionText({ encryption }: StatusReport): string {
  const { mode, nodes, of, nodeEncryption, key } = encryption;
  if (mode === 'unknown') return 'unknown (no ConfigMap cilium-config)';
  const moving = key && key.nodes < of ? ` (${key.nodes}/${of} nodes seal with it)` : '';
  return [
    `${mode} (${nodes}/${of} nodes)`,
    ...(nodeEncryption ? ['node encryption'] : []),
    ...(key ? [`key ${key.id}${moving}`] : []),
  ].join(', ');
}

function logo(report: StatusReport, paint: Paint): string {
  const state = (components: string[]) => {
    const text = stateOf(report, components);
    return paint(text === 'OK' ? 'green' : text.includes('error') ? 'red' : 'yellow', text);
  };
  const off = paint('cyan', 'disabled');
  const y = (text: string) => paint('yellow', text);
  const c = (text: string) => paint('cyan', text);
  const g = (text: string) => paint('green', text);
  const m = (text: string) => paint('magenta', text);
  const b = (text: string) => paint('blue', text);
  const r = (text: string) => paint('red', text);
  return [
    `    ${y('/¯¯\\')}`,
    ` ${c('/¯¯')}${y('\\__/')}${g('¯¯\\')}    Cilium:             ${state([AGENT, ENGINE])}`,
    ` ${c('\\__')}${r('/¯¯\\')}${g('__/')}    Operator:           ${state([OPERATOR])}`,
    ` ${g('/¯¯')}${r('\\__/')}${m('¯¯\\')}    Envoy DaemonSet:    ${off} (using embedded mode)`,
    ` ${g('\\__')}${b('/¯¯\\')}${m('__/')}    Hubble Relay:       ${off}`,
    `    ${b('\\__/')}       ClusterMesh:        ${off}`,
    '',
  ].join('\n');
}

function table(report: StatusReport): string {
  const rows: string[][] = [];
  for (const { kind, name, desired, ready, available, unavailable } of sorted(report.workloads)) {
    const cells = [
      `Desired: ${desired}`,
      desired > 0 && `Ready: ${ready}/${desired}`,
      desired > 0 && `Available: ${available}/${desired}`,
      unavailable > 0 && `Unavailable: ${unavailable}/${desired}`,
    ];
    rows.push([kind, name, cells.filter(Boolean).join(', ')]);
  }
  grouped(rows, 'Containers:', report.phases, (phase, number) => `${phase}: ${number}`);
  const { managed, total } = report.clusterPods;
  rows.push(['Cluster Pods:', `${managed}/${total} managed by Cilium`]);
  rows.push(['Encryption:', encryptionText(report)]);
  if (report.version) {
    rows.push(['Helm chart version:', report.ciliumVersion ?? CILIUM_VERSION]);
    rows.push(['Pellicle version:', report.version]);
  }
  grouped(rows, 'Image versions', report.images, (image, number) => `${image}: ${number}`);
  return tabulate(rows);
}

/** One row for each part; the title stands in the first one only. */
function grouped(
  rows: string[][],
  title: string,
  groups: Record<string, Record<string, number>>,
  cell: (what: string, number: number) => string,
): void {
  let first = title;
  for (const component of COMPONENTS) {
    for (const [what, number] of Object.entries(groups[component] ?? {}).sort()) {
      rows.push([first, component, cell(what, number)]);
      first = '';
    }
  }
}

function problems(title: string, list: Problem[], paint: Paint, colour: Colour): string {
  return tabulate(
    list.map(({ component, subject, message }, index) => [
      index === 0 ? paint(colour, `${title}:`) : ' '.repeat(title.length + 1),
      component,
      subject || component,
      message,
    ]),
  );
}

/** Columns padded to the widest cell and four spaces; the last one of a row is left as it is. */
export function tabulate(rows: string[][]): string {
  const widths: number[] = [];
  for (const row of rows)
    row.slice(0, -1).forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, visible(cell).length);
    });
  const line = (row: string[]) =>
    row
      .map((cell, column) =>
        column === row.length - 1
          ? cell
          : cell + ' '.repeat((widths[column] ?? 0) - visible(cell).length + 4),
      )
      .join('');
  return rows.map(row => `${line(row)}\n`).join('');
}

function visible(text: string): string {
  return text.replace(/\x1b\[\d+m/g, '');
}

function sorted<T extends { kind: string; name: string }>(items: T[]): T[] {
  return items.toSorted((a, b) => b.kind.localeCompare(a.kind) || a.name.localeCompare(b.name));
}

function plural(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`;
}

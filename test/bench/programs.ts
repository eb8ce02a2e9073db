/** The programs that are measured: ours, and those beside it. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import project from '../../package.json' with { type: 'json' };

const ROOT = join(import.meta.dirname, '../..');

/** wireguard-go has used offloads of the TUN device and of UDP since then, which made it several times as fast. */
const FIRST_WITH_OFFLOADS = 20230223;

export interface Program {
  /** Unique, as it stands in the tables. */
  readonly name: string;
  readonly command: readonly string[];
  /** Which stored ratios it is held against. */
  readonly kind: 'ours' | 'limit' | 'wireguard-go without offloads' | 'wireguard-go' | 'other';
}

/** Ours first. `peers` are further programs that are called as wireguard-go is: PROGRAM -f NAME. */
export function findPrograms(peers: readonly string[]): Program[] {
  const found: Program[] = [
    {
      name: `pellicle-engine ${project.version}`,
      command: [join(ROOT, 'bin/pellicle-engine')],
      kind: 'ours',
    },
  ];
  for (const path of ['wireguard-go', ...peers, 'boringtun-cli']) {
    const program = identify(path);
    const isAskedFor = peers.includes(path);
    if (!program && isAskedFor) throw new Error(`PEERS: ${path} does not answer --version`);
    if (!program) continue;
    const same = found.filter(
      ({ name }) => name === program.name || name.startsWith(`${program.name} (`),
    ).length;
    found.push(same > 0 ? { ...program, name: `${program.name} (${same + 1})` } : program);
  }
  return found;
}

function identify(path: string): Program | undefined {
  const run = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 5_000 });
  if (run.error || run.status !== 0) return undefined;
  return { ...describe(`${run.stdout}${run.stderr}`.trim().split('\n')[0] ?? '', path), command: [path] };
}

/** Name and kind by the first line that a program prints as its version. */
export function describe(version: string, path: string): { name: string; kind: Program['kind'] } {
  const [, date] = /^wireguard-go v?0\.0\.(\d{8})/.exec(version) ?? [];
  if (!date) return { name: version.slice(0, 40) || path, kind: 'other' };
  const kind = Number(date) < FIRST_WITH_OFFLOADS ? 'wireguard-go without offloads' : 'wireguard-go';
  return { name: `wireguard-go ${date}`, kind };
}

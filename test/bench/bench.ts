/**
 * The engine beside other userspace WireGuards: `make bench`, which writes docs/benchmarks.md, or
 *
 *     node test/bench/bench.ts --quick      under two minutes; ends with 1 when a ratio is below its floor
 *     node test/bench/bench.ts --runs 9     more rounds than five
 *
 * PEERS names further programs that are called as wireguard-go is, separated by commas.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Bed, removeNamespaces } from './bed.ts';
import { chartOf } from './chart.ts';
import { killAll } from './command.ts';
import { Samples } from './figures.ts';
import { brokenFloors } from './floors.ts';
import { findPrograms, type Program } from './programs.ts';
import { describeMachine, pageOf, tableOf, textOf } from './report.ts';
import { FULL, measureRound, type Plan, QUICK } from './rounds.ts';

const DOCS = join(import.meta.dirname, '../../docs');
const MAX_ROUNDS = 100;
/** Of each run, by the number of programs, so that all of it ends in about ten minutes. */
const SECONDS = [3, 3, 3, 2];

const { values: flags } = parseArgs({ options: { quick: { type: 'boolean' }, runs: { type: 'string' } } });
const peers = (process.env['PEERS'] ?? '').split(',').filter(Boolean);
const say = (line: string) => process.stderr.write(`${line}\n`);

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    cleanUp();
    process.exit(130);
  });
}
try {
  await main();
} catch (error) {
  say(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  cleanUp();
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('this needs root (network namespaces): run it with sudo');
  const programs = findPrograms(peers);
  const plan = planOf(programs.length);
  const machine = describeMachine();
  say(`${machine}\n${plan.rounds} rounds of ${programs.map(({ name }) => name).join(', ')}`);
  removeNamespaces();
  const samples = new Samples();
  const names = programs.map(({ name }) => name);
  const beds = programs.map((program, i) => new Bed(program, i));
  for (const bed of beds) await bed.open();
  for (let round = 0; round < plan.rounds; round++) {
    await measureRound(beds, round, plan, samples, what =>
      say(`round ${round + 1} of ${plan.rounds}: ${what}`),
    );
    say(`\nmedians so far\n${textOf(tableOf(names, samples))}\n`);
  }
  const table = tableOf(names, samples);
  console.log(textOf(table));
  if (flags.quick) checkFloors(programs, samples);
  else write(plan, machine, names, samples);
}

function planOf(programs: number): Plan {
  const rounds = Number(flags.runs ?? (flags.quick ? 3 : 5));
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > MAX_ROUNDS) {
    throw new Error(`--runs has to be 1 to ${MAX_ROUNDS}`);
  }
  if (flags.quick) return { ...QUICK, rounds, seconds: 1 };
  return { ...FULL, rounds, seconds: SECONDS[programs] ?? 1 };
}

function checkFloors(programs: readonly Program[], samples: Samples): void {
  const broken = brokenFloors(programs, samples);
  console.log(broken.length === 0 ? 'every ratio is above its floor' : broken.join('\n'));
  if (broken.length > 0) process.exitCode = 1;
}

function write(plan: Plan, machine: string, programs: readonly string[], samples: Samples): void {
  const more = process.argv.slice(2).join(' ');
  const command = `${peers.length > 0 ? 'PEERS=… ' : ''}${more ? `node test/bench/bench.ts ${more}` : 'make bench'}`;
  const { rounds, seconds } = plan;
  const page = pageOf({ command, rounds, seconds, programs, machine }, tableOf(programs, samples));
  writeFileSync(join(DOCS, 'benchmarks.md'), page);
  writeFileSync(join(DOCS, 'benchmarks.svg'), chartOf(programs, samples));
  say('wrote docs/benchmarks.md and docs/benchmarks.svg');
}

function cleanUp(): void {
  killAll();
  removeNamespaces();
}

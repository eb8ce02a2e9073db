/**
 * The engine beside other programs that do the same in user space: `make bench`, which writes docs/benchmarks.md, or
 *
 *     node test/bench/bench.ts --quick        under two minutes; ends with 1 when a ratio is below its floor
 *     node test/bench/bench.ts --runs 9       more rounds than five
 *     node test/bench/bench.ts --only esp     or wireguard: prints, and writes nothing
 *
 * PEERS names further WireGuards that are called as wireguard-go is, separated by commas.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Bed } from './bed.ts';
import { chartOf } from './chart.ts';
import { makeCipherless } from './cipherless.ts';
import { killAll } from './command.ts';
import { type Carriage, EspBed } from './espbed.ts';
import { Samples } from './figures.ts';
import { brokenEspFloors, brokenFloors } from './floors.ts';
import { removeNamespaces, type Tunnelled } from './ground.ts';
import { findPrograms, type Program } from './programs.ts';
import { describeMachine, pageOf, type Section, tableOf, textOf } from './report.ts';
import {
  FULL,
  FULL_ESP,
  measureRound,
  QUICK,
  QUICK_ESP,
  type Step,
  trafficSteps,
  wireguardSteps,
} from './rounds.ts';
import { findStrongswan, StrongswanBed } from './strongswan.ts';

const DOCS = join(import.meta.dirname, '../../docs');
const MAX_ROUNDS = 100;

const { values: flags } = parseArgs({
  options: { quick: { type: 'boolean' }, runs: { type: 'string' }, only: { type: 'string' } },
});
const peers = (process.env['PEERS'] ?? '').split(',').filter(Boolean);
const isQuick = flags.quick === true;
const rounds = Number(flags.runs ?? (isQuick ? 3 : 5));
/** Of each TCP and UDP run. */
const seconds = isQuick ? 1 : 2;
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
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > MAX_ROUNDS) {
    throw new Error(`--runs has to be 1 to ${MAX_ROUNDS}`);
  }
  if (flags.only && !['wireguard', 'esp'].includes(flags.only))
    throw new Error('--only has to be wireguard or esp');
  const programs = findPrograms(peers);
  const machine = describeMachine();
  say(machine);
  removeNamespaces();
  const limit = isQuick ? [] : [makeCipherless()];
  const sections: Section[] = [];
  const broken: string[] = [];
  if (flags.only !== 'esp') {
    const section = await measureWireguard([programs[0]!, ...limit, ...programs.slice(1)]);
    sections.push(section);
    broken.push(...brokenFloors(programs, section.samples));
  }
  if (flags.only !== 'wireguard') {
    for (const carriage of isQuick ? (['udp'] as const) : (['udp', 'vxlan'] as const)) {
      const section = await measureEsp(programs[0]!, limit, carriage);
      if (!section) continue;
      sections.push(section);
      broken.push(...brokenEspFloors(section.programs[0]!, section.programs.at(-1)!, section.samples));
    }
  }
  for (const { title, programs: names, samples } of sections)
    console.log(`\n${title}\n${textOf(tableOf(names, samples))}`);
  if (isQuick) {
    console.log(broken.length === 0 ? 'every ratio is above its floor' : broken.join('\n'));
    if (broken.length > 0) process.exitCode = 1;
  } else if (!flags.only) {
    write(machine, sections);
  }
}

async function measureWireguard(programs: readonly Program[]): Promise<Section> {
  const plan = isQuick ? QUICK : FULL;
  const beds = programs.map((program, i) => new Bed(program, i));
  const steps = [...trafficSteps(plan, seconds), ...wireguardSteps(plan, seconds)];
  return { title: 'WireGuard', ...(await measureAll(beds, steps)) };
}

/** Undefined where strongSwan is not installed. */
async function measureEsp(
  ours: Program,
  limit: readonly Program[],
  carriage: Carriage,
): Promise<Section | undefined> {
  const strongswan = findStrongswan();
  if (!strongswan) {
    say('strongSwan with kernel-libipsec is not installed: ESP is not measured');
    return undefined;
  }
  const engines = [ours, ...limit].map((program, i) => new EspBed(program, i, carriage));
  const beds = [...engines, new StrongswanBed(strongswan, engines.length, carriage)];
  const title = carriage === 'udp' ? 'ESP in UDP (RFC 3948), AES-128-GCM' : 'ESP inside vxlan, AES-128-GCM';
  return { title, ...(await measureAll(beds, trafficSteps(isQuick ? QUICK_ESP : FULL_ESP, seconds))) };
}

async function measureAll<B extends Tunnelled & { open(): Promise<void> }>(
  beds: readonly B[],
  steps: readonly Step<B>[],
): Promise<Omit<Section, 'title'>> {
  const names = beds.map(({ name }) => name);
  say(`\n${rounds} rounds of ${names.join(', ')}`);
  const samples = new Samples();
  for (const bed of beds) await bed.open();
  for (let round = 0; round < rounds; round++) {
    const tell = (what: string) => say(`round ${round + 1} of ${rounds}: ${what}`);
    await measureRound(beds, steps, round, samples, tell);
    say(`\nmedians so far\n${textOf(tableOf(names, samples))}\n`);
  }
  cleanUp();
  return { programs: names, samples };
}

function write(machine: string, sections: readonly Section[]): void {
  const more = process.argv.slice(2).join(' ');
  const command = `${peers.length > 0 ? 'PEERS=… ' : ''}${more ? `node test/bench/bench.ts ${more}` : 'make bench'}`;
  writeFileSync(join(DOCS, 'benchmarks.md'), pageOf({ command, rounds, seconds, machine }, sections));
  writeFileSync(join(DOCS, 'benchmarks.svg'), chartOf(sections));
  say('wrote docs/benchmarks.md and docs/benchmarks.svg');
}

function cleanUp(): void {
  killAll();
  removeNamespaces();
}

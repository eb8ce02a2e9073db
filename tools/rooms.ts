/** Checks the walls between the rooms of src/ (.dependency-cruiser.cjs) and that the tool really read them. */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';

const sources = globSync('src/**/*.ts').length;
const run = spawnSync('depcruise', ['src', '--config', '.dependency-cruiser.cjs', '--output-type', 'json'], {
  encoding: 'utf8',
  maxBuffer: 1 << 28,
});
if (run.error) throw run.error;
if (run.stdout === '') {
  console.log(run.stderr.trim());
  process.exit(1);
}
const { summary } = JSON.parse(run.stdout) as {
  summary: {
    totalCruised: number;
    violations: { from: string; to: string; rule: { name: string; severity: string } }[];
  };
};
for (const { from, to, rule } of summary.violations)
  console.log(`${rule.severity} ${rule.name}: ${from} → ${to}`);
if (summary.totalCruised < sources) {
  console.log(
    `dependency-cruiser read ${summary.totalCruised} modules of ${sources}: it cannot parse this tree`,
  );
  process.exit(1);
}
process.exitCode = summary.violations.some(v => v.rule.severity === 'error') ? 1 : 0;

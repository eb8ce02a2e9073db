/**
 * Runs the tests and ends with the line `N passed, N failed`.
 * `npm test`, or `npm test -- src/proto` for a part. Unit tests (src/) run side by side; those that make namespaces (test/) one by one.
 */
import { globSync, statSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const wanted = process.argv.slice(2);
const roots = wanted.length > 0 ? wanted : ['src', 'test'];
const files = roots
  .flatMap(path => (statSync(path).isDirectory() ? globSync(`${path}/**/*.test.ts`) : [path]))
  .sort();
const isUnit = (file: string) => file.startsWith('src/');

let passed = 0;
let failed = 0;
await suite(files.filter(isUnit), 2);
await suite(
  files.filter(file => !isUnit(file)),
  1,
);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);

async function suite(paths: string[], concurrency: number): Promise<void> {
  if (paths.length === 0) return;
  const stream = run({ files: paths, concurrency });
  stream.on('test:pass', test => {
    if (test.details.type !== 'suite' && !test.skip) passed++;
  });
  stream.on('test:fail', test => {
    if (test.details.type !== 'suite') failed++;
  });
  const report = stream.compose(new spec());
  report.pipe(process.stdout, { end: false });
  await finished(report);
}

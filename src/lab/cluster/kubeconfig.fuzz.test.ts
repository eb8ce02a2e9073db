/** A lab's entries come into any kubeconfig and go again, or the file is left alone. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { parse, stringify } from 'yaml';
import { addContext, removeContext } from './kubeconfig.ts';

const folder = mkdtempSync(join(tmpdir(), 'lab-kubeconfig-fuzz-'));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'config');
const identity = { ca: 'CA', cert: 'CERT', key: 'KEY' };

const name = fc.constantFrom('a', 'b', 'prod', 'kind-x', '');
const entries = (key: string) =>
  fc.array(
    fc.record(
      {
        name,
        [key]: fc.dictionary(
          fc.constantFrom('server', 'token', 'user', 'cluster'),
          fc.string({ maxLength: 5 }),
          { noNullPrototype: true },
        ),
      },
      { noNullPrototype: true },
    ),
    { maxLength: 3 },
  );
const good = fc.record(
  {
    apiVersion: fc.constant('v1'),
    kind: fc.constant('Config'),
    'current-context': name,
    clusters: entries('cluster'),
    users: entries('user'),
    contexts: entries('context'),
    preferences: fc.constant({}),
  },
  { requiredKeys: [], noNullPrototype: true },
);
const odd = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 50 }),
  fc.jsonValue({ maxDepth: 2 }).map(value => stringify(value)),
  good.map(value => `${stringify(value)}\t:`),
);

const without = (config: Record<string, unknown> | null, list: string) =>
  ((config?.[list] as { name: string }[] | undefined) ?? []).filter(each => each.name !== 'kind-x');

describe("the lab's entries in a kubeconfig", () => {
  test('come in beside what is there, and go again without it', async () => {
    await fc.assert(
      fc.asyncProperty(good, async config => {
        writeFileSync(path, stringify(config), { mode: 0o600 });
        const foreign = (config.clusters ?? []).some(each => each.name === 'kind-x');
        if (foreign)
          return assert.rejects(
            addContext(path, 'kind-x', 'https://127.0.0.1:1', identity),
            /choose another --name/,
          );
        const record = await addContext(path, 'kind-x', 'https://127.0.0.1:1', identity);
        const during = parse(readFileSync(path, 'utf8'));
        assert.equal(during['current-context'], 'kind-x');
        assert.equal(await removeContext(record, 'kind-x', identity.ca), true);
        const afterwards = parse(readFileSync(path, 'utf8'));
        for (const list of ['clusters', 'users', 'contexts']) {
          assert.deepEqual(without(during, list), without(config, list));
          assert.deepEqual(without(afterwards, list), without(config, list));
        }
      }),
      { numRuns: 80 },
    );
  });

  test('into what is no kubeconfig they do not: it is left as it is, and told in a sentence', async () => {
    await fc.assert(
      fc.asyncProperty(odd, async content => {
        writeFileSync(path, content, { mode: 0o600 });
        const before = readFileSync(path);
        try {
          const record = await addContext(path, 'kind-x', 'https://127.0.0.1:1', identity);
          await removeContext(record, 'kind-x', identity.ca);
        } catch (error) {
          assert.match(
            (error as Error).message,
            /mend it|choose another --name/,
            String((error as Error).stack),
          );
          assert.deepEqual(readFileSync(path), before);
        }
      }),
      { numRuns: 150 },
    );
  });
});

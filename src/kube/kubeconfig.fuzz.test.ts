/** Kubeconfigs as people mend them by hand. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { KubeconfigError, loadConnection } from './kubeconfig.ts';

const folder = mkdtempSync(join(tmpdir(), 'kubeconfig-fuzz-'));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'config');
const SECRET = 'k7Qz0vXw2LmN9rTb';

const name = fc.constantFrom('a', 'b', '', 'prod', 'https://127.0.0.1:1');
const anything = fc.oneof(fc.jsonValue({ maxDepth: 1 }), name);
const list = (inner: Record<string, fc.Arbitrary<unknown>>, key: string) =>
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.array(
        fc.record(
          {
            name,
            [key]: fc.oneof({ weight: 4, arbitrary: fc.record(inner, { requiredKeys: [] }) }, anything),
          },
          { requiredKeys: [] },
        ),
        { maxLength: 3 },
      ),
    },
    anything,
  );
const config = fc.record(
  {
    apiVersion: fc.constant('v1'),
    kind: fc.constant('Config'),
    'current-context': fc.oneof(name, anything),
    clusters: list(
      {
        server: fc.oneof(fc.constantFrom('https://127.0.0.1:1', 'http://127.0.0.1:1', 'x'), anything),
        'certificate-authority-data': anything,
        'certificate-authority': fc.constant('/no/such/file'),
        'insecure-skip-tls-verify': anything,
      },
      'cluster',
    ),
    users: list(
      {
        token: fc.constant(SECRET),
        'client-key-data': fc.constantFrom(SECRET, 'AAAA'),
        'client-certificate-data': anything,
        tokenFile: fc.constant('/no/such/file'),
        'auth-provider': anything,
      },
      'user',
    ),
    contexts: list({ cluster: name, user: name, namespace: anything }, 'context'),
  },
  { requiredKeys: [] },
);
const text = fc.oneof(
  config.map(value => stringify(value)),
  config.map(value => JSON.stringify(value)),
  fc
    .tuple(config, fc.nat(), fc.constantFrom('\t', ':', '- ', '{', '"', '&a', '*a', '!!js/function', '\0'))
    .map(([value, at, insert]) => {
      const whole = stringify(value);
      const from = at % (whole.length + 1);
      return whole.slice(0, from) + insert + whole.slice(from);
    }),
  fc.string({ unit: 'binary', maxLength: 60 }),
);

describe('a kubeconfig', () => {
  test('whatever is in the file: a connection, or an error that says what is wrong and tells no secret', async () => {
    await fc.assert(
      fc.asyncProperty(text, fc.option(name, { nil: undefined }), async (content, context) => {
        writeFileSync(path, content, { mode: 0o600 });
        try {
          const { credentials } = await loadConnection({ kubeconfig: path, context, env: {} });
          assert.equal(typeof credentials.server, 'string');
        } catch (error) {
          assert.ok(error instanceof KubeconfigError, String((error as Error).stack));
          assert.ok(!error.message.includes(SECRET.slice(0, 8)), error.message);
          assert.ok(error.message.includes(path) && !error.message.includes('\n'), error.message);
        }
      }),
      { numRuns: 200 },
    );
  });
});

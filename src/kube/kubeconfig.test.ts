import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { KubeconfigError, loadConnection } from './kubeconfig.ts';

describe('kubeconfig', () => {
  let folder: string;
  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'kubeconfig-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const config = (name: string, user: string, current = name) =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': current,
      clusters: [
        {
          name,
          cluster: {
            server: `https://${name}:6443`,
            'certificate-authority-data': Buffer.from('CA').toString('base64'),
            'tls-server-name': 'kubernetes',
          },
        },
      ],
      users: [{ name, user: JSON.parse(user) }],
      contexts: [{ name, context: { cluster: name, user: name, namespace: 'apps' } }],
    });

  it('reads server, CA, client certificate and namespace', async () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const key = String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const cert = Buffer.from(CERTIFICATE).toString('base64');
    writeFileSync(join(folder, 'key.pem'), key);
    const path = file('certs', config('a', `{"client-certificate-data":"${cert}","client-key":"key.pem"}`));
    assert.deepEqual(await loadConnection({ kubeconfig: path, env: {} }), {
      context: 'a',
      cluster: 'a',
      namespace: 'apps',
      credentials: {
        server: 'https://a:6443',
        ca: 'CA',
        cert: CERTIFICATE,
        key,
        tlsServerName: 'kubernetes',
      },
    });
  });

  it('merges the files of $KUBECONFIG, the first wins, missing ones are passed over', async () => {
    const one = file('one', config('a', '{"token":"first"}'));
    const two = file('two', config('b', '{"token":"b"}').replaceAll('"name":"b"', '"name":"b"'));
    const three = file('three', config('a', '{"token":"second"}', 'b'));
    const env = { KUBECONFIG: [join(folder, 'missing'), one, two, three].join(':') };
    assert.equal((await loadConnection({ env })).credentials.token, 'first');
    assert.equal((await loadConnection({ env, context: 'b' })).credentials.token, 'b');
    await assert.rejects(loadConnection({ env, context: 'c' }), /context "c" is not in .*: there is a, b$/);
  });

  it('asks exec plugins', async () => {
    const plugin = file(
      'plugin',
      '#!/bin/sh\necho \'{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"from-plugin"}}\'\n',
    );
    chmodSync(plugin, 0o755);
    const user = JSON.stringify({
      exec: { apiVersion: 'client.authentication.k8s.io/v1', command: plugin, interactiveMode: 'Never' },
    });
    const { credentials } = await loadConnection({ kubeconfig: file('exec', config('a', user)), env: {} });
    assert.ok(typeof credentials.token === 'function');
    assert.equal(await credentials.token(), 'from-plugin');
  });

  it('acts as another', async () => {
    const path = file('as', config('a', '{"token":"t"}'));
    const { credentials } = await loadConnection({ kubeconfig: path, as: 'jane', asGroups: ['dev'] });
    assert.deepEqual(credentials.impersonate, { user: 'jane', groups: ['dev'] });
  });

  it('takes plain http', async () => {
    const path = file('http', config('a', '{"token":"t"}').replace('https://a', 'http://a'));
    const { credentials } = await loadConnection({ kubeconfig: path, env: {} });
    assert.equal(credentials.server, 'http://a:6443');
    assert.equal(credentials.token, 't');
    assert.equal(credentials.insecure, undefined);
  });

  it('tells what is wrong', async () => {
    const wrong: [kubeconfig: string, message: RegExp][] = [
      [join(folder, 'none'), /none does not exist: check --kubeconfig/],
      [file('yaml', 'a: [b'), /yaml cannot be read: .*; write it anew, or choose another with --kubeconfig/],
      [file('nothing', ''), /nothing cannot be read: .*; write it anew/],
      [file('word', 'hello'), /word has no contexts: write it anew/],
      [
        file('bad-key', config('a', '{"client-key-data":"AAAA"}')),
        /client-key-data .*of user "a" in .*bad-key is no PEM that can be read: ask for the credentials again/,
      ],
      [
        file('bad-cert', config('a', '{"client-certificate-data":"AAAA"}')),
        /client-certificate-data .*of user "a" in .*bad-cert is no PEM/,
      ],
      [
        file('empty', 'apiVersion: v1\nkind: Config\n'),
        /empty has no contexts: write it anew, or choose another/,
      ],
      [
        file('dangling', config('a', '{}').replace('"cluster":"a"', '"cluster":"x"')),
        /names the cluster "x"/,
      ],
      [file('bad-exec', config('a', '{"exec":{"command":"/does/not/exist"}}')), /credentials of user "a"/],
    ];
    for (const [kubeconfig, message] of wrong)
      await assert.rejects(loadConnection({ kubeconfig, env: {} }), error => {
        assert.ok(error instanceof KubeconfigError, String(error));
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /\n/);
        return true;
      });
    await assert.rejects(loadConnection({ env: { HOME: folder } }), /no kubeconfig found/);
  });
});

/** Of nobody, signed by itself: whose it is plays no part here. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBbTCCAROgAwIBAgIUYaORxDfqCts63wtII6Xce2+FnjUwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBYTAeFw0yNjExMjMwMDQxMDNaFw0zNjExMjAwMDQxMDNaMAwx
CjAIBgNVBAMMAWEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASRsvel8YhOt2k3
lwX4A63IQwqFUu3umG/ccwL+ubJrIj/W6HXg50ede8PTrBEbAn9a5ZuDsAv/mtnL
6/TZIN/8o1MwUTAdBgNVHQ4EFgQUfJrCHjN9hsX5kk5NWH1VN4mE9+owHwYDVR0j
BBgwFoAUfJrCHjN9hsX5kk5NWH1VN4mE9+owDwYDVR0TAQH/BAUwAwEB/zAKBggq
hkjOPQQDAgNIADBFAiBrWbjFpiYqiduxlaeUz3i9qfr2ukTVPQwkqWp6LbqgWwIh
ALyEzoAjcE9TvXOfXGpVlhU4NWtDTRfXDU+G56kli/ZN
-----END CERTIFICATE-----
`;

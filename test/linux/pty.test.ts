/** The console socket with crun at its other end, as the lab's kubelet uses it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { listenForConsole } from '../../src/linux/pty.ts';

/** Runs `script` in a container whose root is this machine's. */
function container(t: TestContext, socket: string, script: string) {
  const bundle = mkdtempSync(join(tmpdir(), 'pf-bundle-'));
  mkdirSync(join(bundle, 'rootfs'));
  const config = {
    ociVersion: '1.0.2',
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ['/bin/sh', '-c', script],
      env: ['PATH=/usr/bin:/bin', 'TERM=xterm'],
      cwd: '/',
    },
    root: { path: 'rootfs', readonly: true },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs' },
      {
        destination: '/dev/pts',
        type: 'devpts',
        source: 'devpts',
        options: ['newinstance', 'ptmxmode=0666'],
      },
    ],
    linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }] },
  };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
  const id = `pf-${process.pid}`;
  const mounts = `mount --bind / ${bundle}/rootfs && mount -t cgroup2 none /sys/fs/cgroup`;
  const crun = `exec crun --root ${bundle}/crun --cgroup-manager=disabled run --console-socket ${socket} -b ${bundle} ${id}`;
  const child = spawn(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-c', `${mounts} && ${crun}`],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  const exited = new Promise<number | null>(resolve => child.on('exit', resolve));
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
    rmSync(bundle, { recursive: true });
  });
  return exited;
}

function socketPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'pf-console-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'console.sock');
}

test('a terminal comes from the runtime, has a size, carries both ways, and ends', async t => {
  const path = socketPath(t);
  using socket = listenForConsole(path);
  const script = 'read line; echo "got $line"; stty size; head -c 300000 /dev/zero | tr "\\0" x; echo end';
  const exited = container(t, path, script);
  const terminal = await socket.terminal();
  socket.close();
  assert.equal(existsSync(path), false);
  terminal.resize(120, 33);
  terminal.write('hello\n');
  let output = '';
  for await (const chunk of terminal) output += chunk;
  assert.match(output, /got hello\r\n33 120\r\nx/);
  assert.ok(output.includes('x'.repeat(300_000)), 'nothing is lost');
  assert.match(output, /end\r\n$/);
  assert.equal(await exited, 0);
  terminal.resize(1, 1); // after the end: nothing happens
});

test('what is written in one go arrives whole', async t => {
  const path = socketPath(t);
  using socket = listenForConsole(path);
  container(t, path, 'stty raw -echo; echo ready; head -c 200000 | md5sum');
  const terminal = await socket.terminal();
  let output = '';
  for await (const chunk of terminal) {
    output += chunk;
    if (output === 'ready\n') terminal.write('y'.repeat(200_000));
  }
  assert.match(output, /^ready\n[0-9a-f]{32} /);
});

test('says so when no terminal comes', async t => {
  const path = socketPath(t);
  using socket = listenForConsole(path);
  await assert.rejects(socket.terminal(20), /no terminal came over .* within 20 ms/);
  using closed = listenForConsole(`${path}2`);
  closed.close();
  await assert.rejects(closed.terminal(), /closed before a terminal came/);
});

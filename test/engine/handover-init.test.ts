/** The script that watches over the engine in its pod: new programs take over under it, and beside it. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ENGINE, endpointOf, exited, Pair, type Side, until } from './pair.ts';
import { spawned, startPings } from './watched.ts';

const SCRIPT = join(import.meta.dirname, '../../deploy/image/cilium-engine-init');

/** A folder with a program `pellicle-engine`, which may be replaced by another one. */
class Programs implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'pellicle-init-'));

  constructor() {
    this.put(`exec ${ENGINE.join(' ')} "$@"`);
  }

  put(line: string): void {
    writeFileSync(join(this.folder, 'pellicle-engine'), `#!/bin/sh\n${line}\n`, { mode: 0o755 });
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}

/** The script in a namespace, ended with all that it started. */
class Init implements AsyncDisposable {
  readonly #run;

  constructor(side: Side, programs: Programs) {
    const path = `PATH=${programs.folder}:${process.env['PATH']}`;
    this.#run = spawned(side, 'env', path, 'sh', SCRIPT, side.device).status;
  }

  get errors(): string {
    return this.#run.errors();
  }

  /** Processes of the engine. */
  get engines(): number[] {
    const pid = this.#run.process.pid!;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    return children.filter(child => child !== '' && isEngine(child)).map(Number);
  }

  hangUp(): void {
    this.#run.process.kill('SIGHUP');
  }

  async stop(): Promise<number | null> {
    this.#run.process.kill('SIGTERM');
    return exited(this.#run.process);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

function isEngine(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('pellicle-engine');
  } catch {
    return false;
  }
}

async function connected(pair: Pair): Promise<void> {
  const { left, right } = pair;
  await until('the engine serves', () =>
    left.status().then(
      () => true,
      () => false,
    ),
  );
  await right.start(ENGINE);
  for (const [side, other] of [
    [left, right],
    [right, left],
  ] as const) {
    side.configure(other, { endpoint: endpointOf(other) });
    side.bringUp();
  }
  assert.equal(left.ping(right.inner4, 2), 2);
}

async function removeDevice({ left }: Pair): Promise<void> {
  left.run('ip', 'link', 'del', left.device);
}

describe('cilium-engine-init', () => {
  test('on SIGHUP lets a new program take over, or keeps the engine', { timeout: 120_000 }, async () => {
    await using pair = new Pair();
    using programs = new Programs();
    await using stack = new AsyncDisposableStack();
    stack.defer(() => removeDevice(pair));
    const init = stack.use(new Init(pair.left, programs));
    await connected(pair);
    const pings = startPings(pair.left, pair.right.inner4);
    stack.defer(() => pings.kill());

    const [first] = init.engines;
    init.hangUp();
    await until(
      'a new engine is the only one',
      () => init.engines.length === 1 && init.engines[0] !== first,
      30,
    );
    const [second] = init.engines;
    programs.put('exit 1');
    init.hangUp();
    await until(
      'it is told that the engine goes on',
      () => init.errors.includes('was not taken over, and goes on'),
      30,
    );
    assert.deepEqual(init.engines, [second]);
    assert.deepEqual(await pings.stop(), []);

    programs.put(`exec ${ENGINE.join(' ')} "$@"`);
    process.kill(second!, 'SIGKILL');
    await until('another one is started', () => init.engines.length === 1 && init.engines[0] !== second, 30);
    await until('it is told', () => /ended with status 137: starting it again/.test(init.errors));
    assert.equal(await init.stop(), 0);
  });

  test('takes over from the engine of another one, which then only waits for its end', {
    timeout: 120_000,
  }, async () => {
    await using pair = new Pair();
    using programs = new Programs();
    await using stack = new AsyncDisposableStack();
    stack.defer(() => removeDevice(pair));
    const before = stack.use(new Init(pair.left, programs));
    await connected(pair);
    const pings = startPings(pair.left, pair.right.inner4);
    stack.defer(() => pings.kill());
    const after = stack.use(new Init(pair.left, programs));
    await until('it has given way', () => before.errors.includes('was taken over by another one'), 30);
    assert.deepEqual(before.engines, []);
    assert.equal(await before.stop(), 0);
    assert.equal(after.engines.length, 1);
    assert.deepEqual(await pings.stop(), []);
  });
});

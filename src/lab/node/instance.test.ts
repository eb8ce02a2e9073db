import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { Image } from '../images/catalog.ts';
import type { LayerStore } from '../images/layers.ts';
import type { OciConfig } from './bundle.ts';
import { Instance } from './instance.ts';
import { processStart } from './procfs.ts';
import { type ExitRecord, type Running, Runtime } from './runtime.ts';

const folder = mkdtempSync(join(tmpdir(), 'pellicle-instance-'));
after(() => rmSync(folder, { recursive: true }));

/** Containers that are only folders: this process stands for theirs. */
class FolderRuntime extends Runtime {
  exit: ExitRecord | undefined;
  readonly releasing = Promise.withResolvers<void>();
  readonly released = Promise.withResolvers<void>();

  constructor() {
    const place = join(folder, 'places');
    super({
      containers: folder,
      crun: place,
      exits: place,
      sockets: place,
      layers: {} as LayerStore,
      machineRoot: '/',
    });
  }

  override async create(id: string): Promise<Running> {
    await mkdir(this.bundle(id));
    return { pid: process.pid, start: processStart(process.pid)! };
  }

  override async start(): Promise<void> {}

  override async exitOf(): Promise<ExitRecord | undefined> {
    return this.exit;
  }

  override async remove(id: string, keepBundle = false): Promise<void> {
    if (!keepBundle) return rm(this.bundle(id), { recursive: true });
    this.releasing.resolve();
    await this.released.promise;
  }
}

function instanceIn(runtime: Runtime, id: string): Instance {
  const paths = { logPath: join(folder, 'log'), messagePath: join(folder, 'message') };
  const record = {
    id,
    podUid: 'uid',
    container: 'main',
    attempt: 0,
    image: 'image',
    imageId: 'sha256:0',
    ...paths,
    messageFallback: false,
    pid: 0,
    start: 0,
  };
  const listener = { changed() {}, event() {} };
  return new Instance(runtime, record, { name: 'main', image: 'image' }, () => '10.0.0.1', listener);
}

describe('a container that ends', () => {
  test('has ended only when that is written down, and may be forgotten at once then', async () => {
    const runtime = new FolderRuntime();
    const instance = instanceIn(runtime, 'one');
    await instance.launch({} as OciConfig, {} as Image);
    runtime.exit = { code: 3, finishedAt: 0 };
    const checks = Promise.all([instance.check(), instance.check()]);
    await runtime.releasing.promise;
    assert.equal(instance.running, true);
    runtime.released.resolve();
    await instance.ended;
    assert.equal(instance.running, false);
    const written = JSON.parse(readFileSync(join(runtime.bundle('one'), 'record.json'), 'utf8'));
    assert.equal(written.exit.code, 3);
    await instance.forget();
    await checks;
    assert.equal(existsSync(runtime.bundle('one')), false);
  });

  test('while it is written down that it began, is written down after that', async () => {
    const runtime = new FolderRuntime();
    runtime.released.resolve();
    const instance = instanceIn(runtime, 'two');
    runtime.start = async () => {
      runtime.exit = { code: 0, finishedAt: 0 };
      setImmediate(() => void instance.check());
    };
    await instance.launch({} as OciConfig, {} as Image);
    await instance.ended;
    const written = JSON.parse(readFileSync(join(runtime.bundle('two'), 'record.json'), 'utf8'));
    assert.equal(written.exit.reason, 'Completed');
  });
});

/** Bundles every program of src/main into dist/ and builds what is native. `node tools/build.ts [--watch]`. */
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { context } from 'esbuild';

const root = join(import.meta.dirname, '..');
const programs = readdirSync(join(root, 'src/main')).filter(name => name.endsWith('.ts'));

const native = spawnSync('make', ['--no-print-directory', '-s', '-C', join(root, 'native')], {
  stdio: 'inherit',
  env: { ...process.env, NODE: process.execPath },
});
if (native.status !== 0) process.exit(native.status ?? 1);

const bundler = await context({
  absWorkingDir: root,
  entryPoints: programs.map(name => `src/main/${name}`),
  outdir: 'dist',
  bundle: true,
  splitting: true,
  platform: 'node',
  mainFields: ['module', 'main'],
  format: 'esm',
  target: 'node24',
  sourcemap: 'linked',
  sourcesContent: false,
  metafile: true,
  logLevel: 'warning',
  define: { 'process.env.WS_NO_BUFFER_UTIL': '"1"', 'process.env.WS_NO_UTF_8_VALIDATE': '"1"' },
  banner: {
    js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
  },
});
const { metafile } = await bundler.rebuild();
const made = new Set(Object.keys(metafile.outputs).map(path => basename(path)));
for (const name of readdirSync(join(root, 'dist'))) if (!made.has(name)) rmSync(join(root, 'dist', name));
if (process.argv.includes('--watch')) await bundler.watch();
else await bundler.dispose();

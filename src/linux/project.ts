/** Where this project stands on disk, and its addons. The same from src/ and from dist/. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The folder with package.json, dist/ and build/. */
export function projectRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) {
      throw new Error(`no package.json above ${import.meta.dirname}: is the project complete?`);
    }
    folder = parent;
  }
  return folder;
}

/** Loads build/NAME.node. Throws a sentence when it is not built. */
export function loadAddon<T>(name: 'engine' | 'linux'): T {
  const path = join(projectRoot(), `build/${name}.node`);
  if (!existsSync(path)) throw new Error(`${path} is missing: build it with \`npm run build\``);
  return createRequire(import.meta.url)(path) as T;
}

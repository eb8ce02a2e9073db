/** Where the project's files are, and which version this is. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder with package.json above this module; the same from src/ and from dist/. */
export const root = findRoot(import.meta.dirname);

export const version: string = (
  JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
).version;

/** The version of Cilium whose commands and names this version answers to. */
export const CILIUM_VERSION = '1.14.5';

export function projectFile(path: string): string {
  return join(root, path);
}

function findRoot(start: string): string {
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (folder === dirname(folder))
      throw new Error(`no package.json above ${start}: is the project complete?`);
  }
}

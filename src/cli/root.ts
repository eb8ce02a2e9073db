/** Where the project's files are, and which version this is. */
import { join } from 'node:path';
import project from '../../package.json' with { type: 'json' };
import { projectRoot } from '../linux/project.ts';

export const version: string = project.version;

/** The version of Cilium whose commands and names this version answers to. */
export const CILIUM_VERSION = '1.14.5';

export function projectFile(path: string): string {
  return join(projectRoot(), path);
}

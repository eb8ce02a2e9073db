/** Where this project and its Node.js stand on disk: the nodes of a lab run them from there. */
import { realpathSync } from 'node:fs';
import { dirname, sep } from 'node:path';
import { projectRoot } from '../../linux/project.ts';

export interface Project {
  /** The folder with package.json, dist/ and build/. */
  root: string;
  /** The Node.js binary that runs everything of the lab. */
  node: string;
  /** Folders that must be visible inside nodes and containers at their own paths. */
  mounts: string[];
}

export function findProject(execPath = process.execPath): Project {
  const root = realpathSync(projectRoot());
  const node = realpathSync(execPath);
  const inside = (folder: string) => node.startsWith(folder + sep);
  return { root, node, mounts: inside(root) || inside('/usr') ? [root] : [root, dirname(node)] };
}

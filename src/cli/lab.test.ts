import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { labCommand } from './lab.ts';
import { projectFile } from './root.ts';

describe('pellicle lab', () => {
  for (const command of [['up'], ['down'], ['status'], ['reboot', 'worker']])
    it(`${command[0]} wants root, and says so`, async () => {
      let err = '';
      const output = {
        out: (text: string) => assert.fail(text),
        err: (text: string) => {
          err += text;
        },
      };
      const before = process.exitCode;
      try {
        await labCommand(output, 65534).parseAsync(command, { from: 'user' });
        assert.equal(process.exitCode, 1);
      } finally {
        process.exitCode = before;
      }
      assert.equal(err, 'error: labs are made of namespaces and mounts: run it as root, e.g. with sudo\n');
    });

  const lab = (program: string[], ...args: string[]) => {
    const words = [...program, process.execPath, projectFile('src/main/pellicle.ts'), 'lab', ...args];
    return spawnSync(words[0] ?? '', words.slice(1), { encoding: 'utf8' });
  };
  for (const capability of ['net_admin', 'sys_admin'])
    it(`up without ${capability} says which capability is missing, and makes nothing`, () => {
      const less = ['setpriv', `--bounding-set=-${capability}`, `--inh-caps=-${capability}`];
      const { status, stderr } = lab(less, 'up', '--name', 'unmade');
      assert.match(stderr, new RegExp(`^error: .*${capability.toUpperCase()}.*\\n$`));
      assert.equal(status, 1);
      assert.match(lab([], 'status', '--name', 'unmade').stderr, /there is no lab 'unmade'/);
    });
});

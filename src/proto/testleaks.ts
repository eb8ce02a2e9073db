/** For tests: that a message does not tell of a key. */
import assert from 'node:assert/strict';

/** Fails when so many characters of the material, one after the other, are in the text. */
export function assertNoRun(said: string, material: string, length = 8): void {
  for (let i = 0; i + length <= material.length; i++) {
    const run = material.slice(i, i + length);
    assert.ok(!said.includes(run), `key material in: ${said}`);
  }
}

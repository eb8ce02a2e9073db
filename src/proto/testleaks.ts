/** For tests: the first so many characters in a row of the material that are in the text; undefined when there are none. */
export function runIn(said: string, material: string, length = 8): string | undefined {
  for (let i = 0; i + length <= material.length; i++) {
    const run = material.slice(i, i + length);
    if (said.includes(run)) return run;
  }
  return undefined;
}

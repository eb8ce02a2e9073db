/**
 * Elastic columns as Go's text/tabwriter lays them out, so that rows look as Cilium's users know them: a cell ends with
 * a tab; a column is as wide as the widest of its cells in adjoining lines, and ends with the padding.
 */
export function tabulate(lines: string[][], padding = 3): string {
  // The last cell of a line is not terminated and belongs to no column.
  const widths = lines.map(cells => cells.slice(0, -1).map(cell => cell.length + padding));
  for (let column = 0; ; column++) {
    if (widths.every(cells => cells.length <= column)) break;
    for (let start = 0; start < lines.length; start++) {
      let end = start;
      while (end < lines.length && widths[end]!.length > column) end++;
      const widest = Math.max(0, ...widths.slice(start, end).map(cells => cells[column]!));
      for (const cells of widths.slice(start, end)) cells[column] = widest;
      start = end;
    }
  }
  return lines
    .map((cells, i) => cells.map((cell, j) => cell.padEnd(widths[i]![j] ?? 0)).join(''))
    .map(line => `${line}\n`)
    .join('');
}

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { chartOf } from './chart.ts';
import { Samples } from './figures.ts';
import { brokenEspFloors, brokenFloors } from './floors.ts';
import { describe as describeProgram, type Program } from './programs.ts';
import { markdownOf, pageOf, tableOf } from './report.ts';

const OURS: Program = { name: 'ours', command: [], kind: 'ours' };
const THEIRS: Program = { name: 'a <peer>', command: [], kind: 'wireguard-go' };

function samplesOf(ours: number[], theirs: number[]): Samples {
  const samples = new Samples();
  for (const value of ours) samples.add('tcp1Out', OURS.name, value);
  for (const value of theirs) samples.add('tcp1Out', THEIRS.name, value);
  return samples;
}

describe('the figures of a benchmark', () => {
  test('are compared within each round', () => {
    // The machine was twice as slow in the second and third round.
    const samples = samplesOf([4, 2, 2.2, 4, 4], [2, 1, 1, 2, 1]);
    assert.equal(samples.median('tcp1Out', OURS.name), 4);
    assert.equal(samples.advantage('tcp1Out', OURS.name, THEIRS.name), 2);
  });

  test('that are costs count the other way', () => {
    const samples = new Samples();
    samples.add('pingIdle', OURS.name, 50);
    samples.add('pingIdle', THEIRS.name, 100);
    assert.equal(samples.advantage('pingIdle', OURS.name, THEIRS.name), 2);
  });

  test('become a table and bars, with a dash for what could not be measured', () => {
    const samples = samplesOf([4], [2]);
    samples.add('handshakes', OURS.name, 1000);
    samples.add('handshakes', THEIRS.name, Number.NaN);
    const lines = markdownOf(tableOf([OURS.name, THEIRS.name], samples)).split('\n');
    assert.deepEqual(lines, [
      '|  | ours | a <peer> | ours is better |',
      '| --- | --: | --: | --: |',
      '| TCP, 1 stream | 4.00 Gbit/s | 2.00 Gbit/s | 2.00 × |',
      '| Handshakes answered | 1000 /s | – | – |',
    ]);
    const chart = chartOf([{ title: 'a section', programs: [OURS.name, THEIRS.name], samples }]);
    const widths = [...chart.matchAll(/x="300" y="\d+" width="([\d.]+)"/g)].map(([, width]) => Number(width));
    assert.deepEqual(widths, [500, 250]);
    assert.match(chart, /a &#60;peer&#62;/);
  });

  test('stand under the title of their section', () => {
    const section = { title: 'A <section>', programs: [OURS.name], samples: samplesOf([4], []) };
    const page = pageOf({ command: 'x', rounds: 1, seconds: 1, machine: 'm' }, [
      section,
      { ...section, title: 'B' },
    ]);
    assert.match(page, /\n## A <section>\n\n\| {2}\| ours \|\n[^#]*\n## B\n/);
    assert.match(chartOf([section]), />A &#60;section&#62;</);
  });

  test('below a floor are told', () => {
    assert.deepEqual(brokenFloors([OURS, THEIRS], withAll(3)), []);
    const broken = brokenFloors([OURS, THEIRS], withAll(1));
    assert.match(broken.join('\n'), /^TCP, 1 stream: 1.00 × a <peer>, at least/m);
    assert.deepEqual(brokenEspFloors(OURS.name, THEIRS.name, withAll(9)), []);
    assert.equal(brokenEspFloors(OURS.name, THEIRS.name, withAll(2)).length, 2);
  });

  test('know old wireguard-go from new', () => {
    assert.equal(describeProgram('wireguard-go v0.0.20220316', 'x').kind, 'wireguard-go without offloads');
    assert.equal(describeProgram('wireguard-go v0.0.20250522', 'x').kind, 'wireguard-go');
    assert.deepEqual(describeProgram('boringtun 0.7.1', 'x'), { name: 'boringtun 0.7.1', kind: 'other' });
  });
});

/** Ours so many times better in everything that has a floor. */
function withAll(times: number): Samples {
  const samples = new Samples();
  for (const figure of ['tcp1Out', 'tcp4Out', 'handshakes', 'tcpPeers1', 'tcpPeers5000'] as const) {
    samples.add(figure, OURS.name, times);
    samples.add(figure, THEIRS.name, 1);
  }
  for (const figure of ['cpuTcp1', 'cpuTcp4', 'cpuUdp1400at100', 'pingIdle', 'memoryPeer'] as const) {
    samples.add(figure, OURS.name, 1);
    samples.add(figure, THEIRS.name, times);
  }
  return samples;
}

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Failure } from '../failure.ts';
import { assign, parseSet, parseSetFile, type Values } from './strvals.ts';

function set(...texts: string[]): Values {
  const values: Values = {};
  for (const text of texts) for (const assignment of parseSet(text)) assign(values, assignment);
  return values;
}

describe('--set', () => {
  it('reads what Helm reads', () => {
    assert.deepEqual(set('encryption.enabled=true', 'encryption.type=wireguard'), {
      encryption: { enabled: true, type: 'wireguard' },
    });
    assert.deepEqual(set('a=1,b=x,c='), { a: 1, b: 'x', c: '' });
    assert.deepEqual(set('a={x,2,true},b={}'), { a: ['x', 2, true], b: [] });
    assert.deepEqual(set('a[1].b=x,a[0]=y'), { a: ['y', { b: 'x' }] });
    assert.deepEqual(set('a[0][1]=x'), { a: [[null, 'x']] });
    assert.deepEqual(set('a=null,b=-3,c=007,d=1.5,e=12345678901234567890'), {
      a: null,
      b: -3,
      c: '007',
      d: '1.5',
      e: '12345678901234567890',
    });
    assert.deepEqual(set('nodeSelector.kubernetes\\.io/os=linux'), {
      nodeSelector: { 'kubernetes.io/os': 'linux' },
    });
    assert.deepEqual(set('a=x\\,y=z'), { a: 'x,y=z' });
    assert.deepEqual(set('a=b=c'), { a: 'b=c' });
  });

  it('later assignments win over earlier ones of another shape', () => {
    assert.deepEqual(set('a=1', 'a.b=2'), { a: { b: 2 } });
    assert.deepEqual(set('a.b=2', 'a.b=null'), { a: { b: null } });
  });

  it('--set-string keeps text', () => {
    assert.deepEqual(
      parseSet('a=true,b=1', '--set-string').map(({ value }) => value),
      ['true', '1'],
    );
  });

  it('--set-file names a file, commas and all', () => {
    assert.deepEqual(parseSetFile('a.b=/tmp/x,y'), { path: ['a', 'b'], file: '/tmp/x,y' });
  });

  for (const [text, message] of [
    ['encryption.enabled', /has no value for "encryption.enabled": write encryption.enabled=VALUE/],
    ['', /sets nothing: write NAME=VALUE/],
    ['=x', /has an empty name: write NAME=VALUE, and one comma/],
    ['a..b=1', /has an empty name/],
    ['a={x', /"\{" without "\}": write for instance name=\{a,b\}/],
    ['a={x}y', /put a comma between/],
    ['a[x]=1', /without a number/],
    ['a[999999999]=1', /without a number/],
    ['a[1', /without a number/],
    ['a,b=1', /has no value for "a"/],
    ['__proto__.x=1', /no name of a value/],
  ] as const)
    it(`refuses ${text || 'nothing'}`, () => {
      assert.throws(
        () => set(text),
        (error: unknown) => error instanceof Failure && error.exitCode === 2 && message.test(error.message),
      );
    });

  it('any text either sets values or is refused, and pollutes nothing', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab.=,[]{}\\01'), maxLength: 20 }), text => {
        try {
          set(text);
        } catch (error) {
          assert.ok(error instanceof Failure, String(error));
        }
        assert.equal(({} as Record<string, unknown>)['a'], undefined);
      }),
      { numRuns: 2000 },
    );
  });
});

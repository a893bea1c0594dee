// The countries of the world, with those that lie on both sides of the antimeridian in one piece.

import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";

type Place = [number, number];

/** Polygons of each country, as rings in longitude and latitude. */
export function countries(topology: Topology): Place[][][][] {
  const found = feature(topology, topology.objects["countries"] as GeometryCollection);
  return found.features.map(({ geometry }) => {
    const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.type === "MultiPolygon" ? geometry.coordinates : [];
    return (polygons as Place[][][]).flatMap(whole);
  });
}

/** A polygon; one across the antimeridian twice, at either end of the world. */
function whole(rings: Place[][]): Place[][][] {
  const outer = rings[0];
  if (!outer?.some(([x], at) => at > 0 && Math.abs(x - outer[at - 1]![0]) > 180)) return [rings];
  const ring: Place[] = [];
  let before = outer[0]![0];
  for (const [x, y] of outer) {
    before = x - 360 * Math.round((x - before) / 360);
    ring.push([before, y]);
  }
  const [first, last] = [ring[0]!, ring[ring.length - 1]!];
  if (Math.abs(last[0] - first[0]) > 180) ring.push([last[0], -90], [first[0], -90]); // around the south pole
  const east = Math.max(...ring.map(([x]) => x)) > 180;
  return [[ring], [ring.map(([x, y]) => [east ? x - 360 : x + 360, y] as Place)]];
}

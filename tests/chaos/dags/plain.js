//VERSION=3
// Maximum NDVI of the period: for every pixel the greenest observation that is not cloud, cloud shadow or snow.
function setup() {
  return {
    input: [{ bands: ["B04", "B08", "SCL", "dataMask"] }],
    output: { bands: 1, sampleType: "FLOAT32" },
    mosaicking: "ORBIT",
  };
}

const UNUSABLE = [1, 3, 8, 9, 10, 11]; // scene classification: saturated, shadow, clouds, cirrus, snow

function evaluatePixel(samples) {
  let best = -1;
  for (const sample of samples) {
    if (sample.dataMask && !UNUSABLE.includes(sample.SCL) && sample.B08 + sample.B04 > 0) {
      best = Math.max(best, (sample.B08 - sample.B04) / (sample.B08 + sample.B04));
    }
  }
  return [best];
}

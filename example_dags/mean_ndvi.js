//VERSION=3
// NDVI of one observation; the service makes statistics of it for each field and interval.
// dataMask tells which pixels count: no clouds, no cloud shadows.
function setup() {
  return {
    input: [{ bands: ["B04", "B08", "SCL", "dataMask"] }],
    output: [
      { id: "ndvi", bands: 1, sampleType: "FLOAT32" },
      { id: "dataMask", bands: 1 },
    ],
  };
}

function evaluatePixel(sample) {
  const cloudy = [3, 8, 9, 10].includes(sample.SCL);
  return {
    ndvi: [(sample.B08 - sample.B04) / (sample.B08 + sample.B04)],
    dataMask: [cloudy ? 0 : sample.dataMask],
  };
}

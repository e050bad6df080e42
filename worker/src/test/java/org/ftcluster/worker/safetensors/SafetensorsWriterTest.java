package org.ftcluster.worker.safetensors;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafetensorsWriterTest {
  private static final Path GOLDEN = Path.of("src/test/resources/golden/qwen2/golden.safetensors");

  @TempDir Path folder;

  @Test
  void writesTheBytesThatTheReferenceImplementationWrote() throws IOException {
    Path copy = folder.resolve("copy.safetensors");
    try (SafetensorsFile original = SafetensorsFile.open(GOLDEN)) {
      List<TensorView> tensors =
          new ArrayList<>(original.names().stream().map(original::get).toList());
      SafetensorsWriter.write(copy, tensors.reversed(), original.metadata());
    }
    assertArrayEquals(Files.readAllBytes(GOLDEN), Files.readAllBytes(copy));
  }

  @Test
  void alignsEachTensorAndPadsTheHeader() throws IOException {
    Path file = folder.resolve("adapter.safetensors");

    SafetensorsWriter.write(
        file,
        List.of(tensor("bytes", DType.U8, 3), tensor("b", DType.F32, 2), tensor("a", DType.F32, 1)),
        Map.of("format", "pt"));

    String json =
        "{\"__metadata__\":{\"format\":\"pt\"},"
            + "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            + "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]},"
            + "\"bytes\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[12,15]}}";
    byte[] bytes = Files.readAllBytes(file);
    int headerBytes = bytes[0] & 0xff;
    assertEquals(0, headerBytes % 8);
    assertEquals(json, new String(bytes, 8, headerBytes, UTF_8).stripTrailing());
    assertEquals(8 + headerBytes + 15, bytes.length);
  }

  @Test
  void refusesTwoTensorsOfOneName() {
    assertThrows(
        IllegalArgumentException.class,
        () ->
            SafetensorsWriter.write(
                folder.resolve("f"),
                List.of(tensor("a", DType.U8, 1), tensor("a", DType.F32, 1)),
                Map.of()));
  }

  @Test
  void refusesATensorWhoseDataDoesNotFitItsShape() {
    assertThrows(
        IllegalArgumentException.class,
        () ->
            new TensorView("a", DType.F32, new long[] {2, 2}, MemorySegment.ofArray(new byte[15])));
  }

  private static TensorView tensor(String name, DType dtype, int size) {
    return new TensorView(
        name, dtype, new long[] {size}, MemorySegment.ofArray(new byte[size * dtype.bytes()]));
  }
}

package org.ftcluster.worker.safetensors;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A file's header, checked: the file may come from anyone, so nothing in it is believed before it
 * was compared with the rest.
 *
 * @param tensors by offset; they follow each other without gaps and fill the data exactly
 */
record SafetensorsHeader(Map<String, String> metadata, List<Entry> tensors) {
  /** As in the reference implementation. */
  static final long MAX_BYTES = 100_000_000;

  static final String METADATA = "__metadata__";

  private static final JsonMapper JSON =
      JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  /** Where a tensor's data stands: from {@code begin} up to {@code end}, in bytes. */
  record Entry(String name, DType dtype, long[] shape, long begin, long end) {}

  /**
   * Reads a header.
   *
   * @param dataBytes what follows the header in the file
   */
  static SafetensorsHeader parse(Path file, byte[] json, long dataBytes) {
    JsonNode root;
    try (JsonParser parser = JSON.createParser(json)) {
      root = parser.readValueAsTree();
      if (parser.nextToken() != null) {
        throw new SafetensorsException("%s: the header goes on after its end.".formatted(file));
      }
    } catch (JsonProcessingException e) {
      throw new SafetensorsException(
          "%s: the header is not valid JSON: %s.".formatted(file, e.getOriginalMessage()), e);
    } catch (IOException e) {
      throw new SafetensorsException("%s: the header can't be read: %s.".formatted(file, e), e);
    }
    if (root == null || !root.isObject()) {
      throw new SafetensorsException("%s: the header is not a JSON object.".formatted(file));
    }
    Map<String, String> metadata = new LinkedHashMap<>();
    List<Entry> tensors = new ArrayList<>();
    for (Map.Entry<String, JsonNode> property : root.properties()) {
      if (property.getKey().equals(METADATA)) {
        readMetadata(file, property.getValue(), metadata);
      } else {
        tensors.add(entry(file, property.getKey(), property.getValue()));
      }
    }
    tensors.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
    checkContiguous(file, tensors, dataBytes);
    return new SafetensorsHeader(metadata, tensors);
  }

  private static void readMetadata(Path file, JsonNode node, Map<String, String> metadata) {
    for (Map.Entry<String, JsonNode> property : node.properties()) {
      if (!property.getValue().isTextual()) {
        throw new SafetensorsException(
            "%s: %s.%s is not a string.".formatted(file, METADATA, property.getKey()));
      }
      metadata.put(property.getKey(), property.getValue().textValue());
    }
  }

  private static Entry entry(Path file, String name, JsonNode node) {
    DType dtype = dtype(file, name, node.path("dtype"));
    long[] shape = longs(file, name, "shape", node.path("shape"));
    long[] offsets = longs(file, name, "data_offsets", node.path("data_offsets"));
    if (offsets.length != 2 || offsets[0] > offsets[1]) {
      throw bad(file, name, "has data_offsets %s", Arrays.toString(offsets));
    }
    long bytes;
    try {
      bytes = dtype.byteSize(shape);
    } catch (ArithmeticException e) {
      throw bad(file, name, "has a shape too large to be true: %s", Arrays.toString(shape));
    }
    if (bytes != offsets[1] - offsets[0]) {
      throw bad(
          file,
          name,
          "of %s %s takes %d bytes, but its data_offsets %s span %d",
          dtype,
          Arrays.toString(shape),
          bytes,
          Arrays.toString(offsets),
          offsets[1] - offsets[0]);
    }
    return new Entry(name, dtype, shape, offsets[0], offsets[1]);
  }

  private static DType dtype(Path file, String name, JsonNode node) {
    for (DType dtype : DType.values()) {
      if (dtype.name().equals(node.asText())) {
        return dtype;
      }
    }
    if (!node.isTextual()) {
      throw bad(file, name, "has no dtype");
    }
    throw bad(
        file,
        name,
        "has dtype %s, which is not supported; those that are: %s",
        node,
        Arrays.toString(DType.values()));
  }

  private static long[] longs(Path file, String name, String key, JsonNode node) {
    if (!node.isArray()) {
      throw bad(file, name, "has no list %s", key);
    }
    long[] values = new long[node.size()];
    for (int i = 0; i < values.length; i++) {
      JsonNode element = node.get(i);
      if (!element.isIntegralNumber() || !element.canConvertToLong() || element.longValue() < 0) {
        throw bad(file, name, "has %s in its %s, where a size belongs", element, key);
      }
      values[i] = element.longValue();
    }
    return values;
  }

  private static void checkContiguous(Path file, List<Entry> tensors, long dataBytes) {
    long expected = 0;
    for (Entry tensor : tensors) {
      if (tensor.begin() != expected) {
        throw bad(
            file,
            tensor.name(),
            "begins at byte %d of the data, but the one before it ends at %d",
            tensor.begin(),
            expected);
      }
      if (tensor.end() > dataBytes) {
        throw bad(
            file,
            tensor.name(),
            "ends at byte %d of the data, but the file holds %d: it was cut off, or its header"
                + " is wrong",
            tensor.end(),
            dataBytes);
      }
      expected = tensor.end();
    }
    if (expected != dataBytes) {
      throw new SafetensorsException(
          "%s: the tensors end at byte %d of the data, but the file holds %d."
              .formatted(file, expected, dataBytes));
    }
  }

  @SuppressWarnings("AnnotateFormatMethod") // the prefix makes it no format of its own
  private static SafetensorsException bad(
      Path file, String tensor, String problem, Object... arguments) {
    return new SafetensorsException(
        "%s: tensor %s %s.".formatted(file, tensor, problem.formatted(arguments)));
  }
}

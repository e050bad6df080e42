package org.ftcluster.worker.jinja;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** JSON as the values that templates take. */
public final class JsonValues {
  private JsonValues() {}

  /** A value for {@link Template#render}: objects keep their order. */
  public static @Nullable Object of(JsonNode json) {
    return switch (json.getNodeType()) {
      case BOOLEAN -> json.booleanValue();
      case STRING -> json.textValue();
      case NUMBER ->
          json.isIntegralNumber()
              ? (Object) Values.whole(json.bigIntegerValue())
              : Double.valueOf(json.doubleValue());
      case ARRAY -> {
        List<@Nullable Object> items = new ArrayList<>();
        json.forEach(item -> items.add(of(item)));
        yield items;
      }
      case OBJECT -> {
        Map<String, @Nullable Object> fields = new LinkedHashMap<>();
        json.properties().forEach(field -> fields.put(field.getKey(), of(field.getValue())));
        yield fields;
      }
      default -> null;
    };
  }
}

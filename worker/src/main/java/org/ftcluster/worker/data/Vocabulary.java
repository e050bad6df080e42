package org.ftcluster.worker.data;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;

/** The token ids in a {@code tokenizer.json}, which its native reader doesn't tell. */
final class Vocabulary {
  private final Map<String, Integer> ids = new HashMap<>();
  private final Set<String> specialTokens = new HashSet<>();

  private Vocabulary() {}

  /** Reads {@code model.vocab} and {@code added_tokens}, and skips the rest. */
  static Vocabulary read(Path file) {
    Vocabulary vocabulary = new Vocabulary();
    return JsonFiles.parse(file, vocabulary::addAll);
  }

  /**
   * One more than the largest id of a token that isn't special: models needn't have embeddings for
   * those, as Gemma's of text alone have none for images.
   */
  int size() {
    return ids.entrySet().stream()
        .filter(token -> !specialTokens.contains(token.getKey()))
        .mapToInt(token -> token.getValue() + 1)
        .max()
        .orElse(0);
  }

  OptionalInt id(String token) {
    Integer id = ids.get(token);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  /** The text of a token, or its number where there is none. */
  String text(int id) {
    return ids.entrySet().stream()
        .filter(token -> token.getValue() == id)
        .map(Map.Entry::getKey)
        .findFirst()
        .orElse("token " + id);
  }

  /** Tokens that no text has, but stand for a beginning, an end, a role. */
  Set<String> specialTokens() {
    return Collections.unmodifiableSet(specialTokens);
  }

  private Vocabulary addAll(JsonParser parser) throws IOException {
    parser.nextToken();
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String key = parser.currentName();
      parser.nextToken();
      if (key.equals("added_tokens")) {
        addAdded(parser.readValueAsTree());
      } else if (key.equals("model")) {
        addModel(parser);
      } else {
        parser.skipChildren();
      }
    }
    return this;
  }

  private void addAdded(JsonNode added) {
    for (JsonNode token : added) {
      String text = token.path("content").asText();
      ids.put(text, token.path("id").asInt());
      if (token.path("special").asBoolean()) {
        specialTokens.add(text);
      }
    }
  }

  private void addModel(JsonParser parser) throws IOException {
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      boolean vocab = parser.currentName().equals("vocab");
      JsonToken value = parser.nextToken();
      if (vocab && value == JsonToken.START_OBJECT) { // BPE, WordPiece, WordLevel: token to id
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
          ids.put(parser.currentName(), parser.nextIntValue(0));
        }
      } else if (vocab && value == JsonToken.START_ARRAY) { // Unigram: [token, score] by id
        int id = 0;
        while (parser.nextToken() == JsonToken.START_ARRAY) {
          ids.put(parser.nextTextValue(), id++);
          parser.nextToken();
          parser.nextToken();
        }
      } else {
        parser.skipChildren();
      }
    }
  }
}

package org.ftcluster.worker.data;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.ftcluster.protocol.job.BadJobException;
import org.jspecify.annotations.Nullable;

/** Goes through a file with one JSON object a line; empty lines are passed over. */
public final class JsonlReader implements AutoCloseable {
  private static final JsonMapper JSON =
      JsonMapper.builder().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();

  private final Path file;
  private final BufferedReader reader;
  private long number;

  private JsonlReader(Path file, BufferedReader reader) {
    this.file = file;
    this.reader = reader;
  }

  /**
   * A line that has not been parsed yet.
   *
   * @param number counted from 1
   */
  public record Line(Path file, long number, String text) {
    /** How messages call the line: {@code train.jsonl:17}. */
    public String where() {
      return file + ":" + number;
    }

    /**
     * The line's object.
     *
     * @throws BadJobException when it is none
     */
    public JsonNode fields() {
      JsonNode fields = parsed(text);
      if (!fields.isObject()) {
        throw new BadJobException(
            "%s: this line is not a JSON object such as {\"prompt\": ..., \"completion\": ...}."
                .formatted(where()));
      }
      return fields;
    }

    /** JSON that is this line's, or stands in it as text. */
    JsonNode parsed(String json) {
      try {
        return JSON.readTree(json);
      } catch (JsonProcessingException e) {
        throw new BadJobException("%s: this line is not valid JSON.".formatted(where()), e);
      }
    }
  }

  public static JsonlReader open(Path file) {
    try {
      return new JsonlReader(file, Files.newBufferedReader(file));
    } catch (NoSuchFileException e) {
      throw new BadJobException("%s: there is no such file.".formatted(file), e);
    } catch (IOException e) {
      throw new BadJobException("%s: this can't be read: %s.".formatted(file, e.getMessage()), e);
    }
  }

  /** The next line that holds something, or null at the end. */
  public @Nullable Line next() {
    try {
      String text;
      do {
        text = reader.readLine();
        number++;
      } while (text != null && text.isBlank());
      return text == null ? null : new Line(file, number, text);
    } catch (CharacterCodingException e) {
      throw new BadJobException(
          "%s: this is not text in UTF-8, somewhere after line %d.".formatted(file, number), e);
    } catch (IOException e) {
      throw new BadJobException("%s: this can't be read: %s.".formatted(file, e.getMessage()), e);
    }
  }

  @Override
  public void close() {
    try {
      reader.close();
    } catch (IOException e) {
      throw new BadJobException("%s: this can't be closed: %s.".formatted(file, e.getMessage()), e);
    }
  }
}

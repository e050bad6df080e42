/** What lets the members of a cluster know each other, and keeps what they say from others. */
@NullMarked
package org.ftcluster.protocol.security;

import org.jspecify.annotations.NullMarked;

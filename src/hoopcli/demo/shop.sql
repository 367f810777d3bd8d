-- A small shop.  Everybody in it is made up: the addresses end in example.com, the social security
-- numbers and the cards are the ones that issuers publish for tests.
CREATE ROLE shop_app LOGIN PASSWORD :'password';
CREATE DATABASE shop OWNER shop_app;
\connect shop
SET ROLE shop_app;

CREATE TABLE customers (
  id integer PRIMARY KEY,
  name text NOT NULL,
  email text NOT NULL UNIQUE,
  ssn text,
  city text NOT NULL
);
CREATE TABLE cards (
  id integer PRIMARY KEY,
  customer_id integer NOT NULL REFERENCES customers,
  number text NOT NULL,
  expires date NOT NULL
);
CREATE TABLE orders (
  id integer PRIMARY KEY,
  customer_id integer NOT NULL REFERENCES customers,
  placed date NOT NULL,
  total numeric(10, 2) NOT NULL,
  status text NOT NULL,
  note text
);

INSERT INTO customers VALUES
  (1, 'Ada Lindgren', 'ada@example.com', '219-09-9999', 'Lund'),
  (2, 'Bo Okafor', 'bo.okafor@example.com', '078-05-1120', 'Lagos'),
  (3, 'Carla Méndez', 'carla@mail.example.com', '457-55-5462', 'Oaxaca'),
  (4, 'Dai Tanaka', 'dai@example.com', NULL, 'Osaka');
INSERT INTO cards VALUES
  (1, 1, '4111111111111111', '2028-04-30'),
  (2, 2, '5555555555554444', '2027-11-30'),
  (3, 3, '378282246310005', '2029-01-31');
INSERT INTO orders VALUES
  (1, 1, '2026-11-02', 129.00, 'paid', NULL),
  (2, 2, '2026-11-03', 49.50, 'paid', 'call bo.okafor@example.com before delivery'),
  (3, 3, '2026-11-03', 12.99, 'refunded', 'paid twice, card 4012 8888 8888 1881'),
  (4, 1, '2026-11-19', 75.00, 'stuck', NULL),
  (5, 4, '2026-11-20', 310.00, 'stuck', NULL);
